import { opened } from './cms.js'
import type { OpenSsl } from './openssl.js'
import type { Party } from './pki.js'
import type { Caught } from './sink.js'

/** A disposition notice as the testing tools read it. */
export interface Notice {
  /** `processed`, `dispatched`, `failed`; empty where it does not say. */
  readonly disposition: string
  readonly originalMessageId: string
  /** What a validator would find wrong with it. */
  readonly faults: readonly string[]
}

/**
 * Reads a notice off the wire: decrypted for its reader and verified by OpenSSL, then held against the rules of the ETT
 * message validator (450 to 462) and the outer header's (133a, 201 to 203).
 */
export async function readNotice(
  openssl: OpenSsl,
  { wire, from }: Caught,
  reader: Party,
  authorityPath: string,
  recipient: string,
): Promise<Notice> {
  const faults = outerFaults(wire.toString('latin1'))
  const found = await opened(openssl, wire, reader, authorityPath)
  if (found.kind === 'closed') return { disposition: '', originalMessageId: '', faults: [...faults, found.detail] }
  const text = unfolded(found.entity)
  const value = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'im').exec(text)?.[1]?.trim()
  const check = (good: boolean, fault: string) => void (good || faults.push(fault))
  check(/^content-type:\s*message\/rfc822/im.test(text), 'not wrapped')
  check(/report-type="?disposition-notification/i.test(text), 'no disposition-notification report')
  check(value('Disposition-Notification-To') === undefined, 'asks for a notice itself')
  check(value('Reporting-UA') !== undefined, 'no Reporting-UA')
  for (const field of ['Original-Recipient', 'Final-Recipient'])
    check(value(field)?.toLowerCase() === `rfc822;${recipient.toLowerCase()}`, `${field} is ${value(field)}`)
  check(from.toLowerCase() === recipient.toLowerCase() || from === '', `the envelope says it is from ${from}`)
  const disposition = /^automatic-action\/MDN-sent-automatically;\s*(\S+)$/i.exec(value('Disposition') ?? '')?.[1] ?? ''
  check(disposition !== '', `Disposition is ${value('Disposition')}`)
  const extended = value('X-DIRECT-FINAL-DESTINATION-DELIVERY') !== undefined
  check(extended === (disposition === 'dispatched'), 'X-DIRECT-FINAL-DESTINATION-DELIVERY does not fit')
  return { disposition, originalMessageId: value('Original-Message-ID') ?? '', faults }
}

/** What the tools demand of the encrypted message's own header. */
export function outerFaults(wire: string): string[] {
  const header = unfolded(wire.slice(0, wire.indexOf('\r\n\r\n')))
  const rules: readonly (readonly [RegExp, string])[] = [
    [/^content-type:\s*application\/pkcs7-mime\b/im, 'the outer type is not application/pkcs7-mime'],
    [/^content-type:.*smime-type="?enveloped-data/im, 'smime-type is not enveloped-data'],
    [/^content-type:.*name="?smime\.p7m/im, 'name is not smime.p7m'],
    [/^content-disposition:.*filename="?smime\.p7m/im, 'the disposition does not name smime.p7m'],
    [/^content-transfer-encoding:\s*base64/im, 'not in base64'],
    [/^message-id:\s*<[^<>\s]+>/im, 'no Message-ID'],
    [/^date:/im, 'no Date'],
    [/^from:/im, 'no From'],
    [/^to:/im, 'no To'],
    [/^mime-version:\s*1\.0/im, 'no MIME-Version'],
  ]
  return rules.filter(([rule]) => !rule.test(header)).map(([, fault]) => fault)
}

const unfolded = (text: string) => text.replace(/\r?\n[ \t]+/g, ' ').replace(/\r\n/g, '\n')

/** What the tools demand of what is inside the encryption: multipart/signed around a wrapped message. */
export function innerFaults(entity: string): string[] {
  const text = unfolded(entity)
  const header = text.slice(0, text.indexOf('\n\n'))
  const rules: readonly (readonly [boolean, string])[] = [
    [/^content-type:\s*multipart\/signed/im.test(header), 'not multipart/signed'],
    [/protocol="application\/pkcs7-signature"/i.test(header), 'protocol is not "application/pkcs7-signature"'],
    [/micalg="?(sha-?1|sha-?256|sha-?384|sha-?512)"?/i.test(header), 'micalg is none that the tools know'],
    [/^content-type:\s*application\/pkcs7-signature/im.test(text), 'the second part is no signature'],
    [/name="?smime\.p7s/i.test(text), 'the signature is not named smime.p7s'],
    [/^content-type:\s*message\/rfc822/im.test(text), 'not wrapped'],
  ]
  return rules.filter(([good]) => !good).map(([, fault]) => fault)
}
