import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../certification/world/ports.js'
import { certificatesAt, type Forwarder, startForwarder } from '../fixtures/forwarder.js'
import { type House, layOut } from '../fixtures/house.js'
import { ask, type Serving, tell, until } from '../fixtures/process.js'

/**
 * Two built gateways that know of each other what partners know: names, and the certificate of the other's authority. All
 * the rest they find out themselves: certificates by DNS, mail exchangers, revocation lists. The tests are one story, in order.
 */

const [patients, clinic] = ['direct.patients.test', 'direct.clinic.test']
const [pat, dr, nurse, novice] = [`pat@${patients}`, `dr@${clinic}`, `nurse@${clinic}`, `novice@${clinic}`]
const gone = `gone@${clinic}`
const began = performance.now()

interface Side {
  readonly house: House
  readonly token: string
  serving: Serving
}

interface Message {
  readonly id: string
  readonly spoolId: string
  readonly messageId: string
  readonly from: string
  readonly subject: string
  readonly attachments: readonly { readonly index: number; readonly name: string }[]
  readonly protection: { readonly signerFingerprint: string }
  readonly notice?: { readonly kind: string; readonly disposition: string; readonly originalMessageId?: string }
}

let root: string
let names: Forwarder
let near: Side
let far: Side

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'dg-two-'))
  const ports = async () => ({ mail: await freePort(), names: await freePort(), files: await freePort() })
  const [ours, theirs] = [await ports(), await ports()]
  names = await startForwarder({ [patients]: ours.names, [clinic]: theirs.names })
  const world = { namesAskedAt: names.port }
  const nearHouse = layOut(join(root, 'near'), patients, ours, { ...world, mailGoesTo: theirs.mail })
  const farHouse = layOut(join(root, 'far'), clinic, theirs, { ...world, mailGoesTo: ours.mail })
  ;[near, far] = await Promise.all([
    furnished(nearHouse, 'patient', [pat], []),
    furnished(farHouse, 'provider', [dr, nurse, novice], [dr, nurse]),
  ])
  await Promise.all([
    nearHouse.command('anchor', 'add', '../far/anchor.pem', '--for', patients),
    farHouse.command('anchor', 'add', '../near/anchor.pem', '--for', clinic),
  ])
  tell(`furnished after ${Math.round(performance.now() - began)} ms`)
})

afterAll(async () => {
  await Promise.all([near?.serving.stop(), far?.serving.stop()])
  await names?.close()
  rmSync(root, { recursive: true, force: true })
  tell(`all of it took ${Math.round(performance.now() - began)} ms`)
})

/** What an operator does at first, while the gateway runs: an authority, and a certificate for the domain and each address. */
async function furnished(
  house: House,
  kind: 'patient' | 'provider',
  addresses: readonly string[],
  proven: readonly string[],
): Promise<Side> {
  await house.command('init', '--domain', house.domain, '--kind', kind, '--address', ...addresses)
  const serving = await house.start()
  await house.command('authority', 'create', '--name', `Authority of ${house.domain}`)
  if (proven.length > 0) await house.command('domain', 'set', house.domain, '--identity-proofing', 'ial2')
  for (const one of proven)
    await house.command('address', 'proof', one, '--level', 'ial2', '--method', 'badge, in person')
  for (const owner of [house.domain, ...(proven.length > 0 ? proven : addresses)])
    await house.command('key', 'request', '--owner', owner)
  const [authority] = await house.rows<{ id: string }[]>('authority', 'list')
  await house.command('authority', 'export', authority?.id ?? '', '--out', 'anchor.pem')
  const scopes = 'messages:read,messages:write,messages:send,operator'
  const token = (await house.command('token', 'create', '--address', '*', '--scope', scopes)).trim()
  return { house, token, serving }
}

async function get<T>({ serving, token }: Side, path: string): Promise<T> {
  // Whoever asks more often is told to wait.
  await sleep(60)
  const { status, bytes } = await ask(serving.url, token, path)
  if (status !== 200) throw new Error(`${path} answered ${status}: ${bytes.toString()}`)
  return JSON.parse(bytes.toString()) as T
}

const mailbox = (address: string) => `/api/v1/mailboxes/${encodeURIComponent(address)}`

async function messages(side: Side, address: string): Promise<readonly Message[]> {
  return (await get<{ messages: Message[] }>(side, `${mailbox(address)}/messages?limit=200`)).messages
}

/** The first message of a mailbox that is so. */
function message(side: Side, address: string, is: (one: Message) => boolean): Promise<Message> {
  return until(async () => (await messages(side, address)).find(is), 20_000)
}

interface Draft {
  readonly to: readonly string[]
  readonly subject: string
  readonly header?: readonly string[]
  readonly attachment?: Buffer
}

/** Submits a whole message, as a mail client would write it; answers what names it. */
async function send({ serving, token }: Side, from: string, { to, subject, header = [], attachment }: Draft) {
  const lines = [
    `From: <${from}>`,
    `To: ${to.map((one) => `<${one}>`).join(', ')}`,
    `Subject: ${subject}`,
    ...header,
    'Content-Type: multipart/mixed; boundary="parts"',
    '',
    '--parts',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'All is well.',
    ...(attachment
      ? [
          '--parts',
          'Content-Type: application/octet-stream; name="series.bin"',
          'Content-Disposition: attachment; filename="series.bin"',
          'Content-Transfer-Encoding: base64',
          '',
          attachment.toString('base64').replace(/.{76}/g, '$&\r\n'),
        ]
      : []),
    '--parts--',
    '',
  ]
  const answer = await ask(serving.url, token, `${mailbox(from)}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'message/rfc822' },
    body: lines.join('\r\n'),
  })
  expect(answer.status, answer.bytes.toString()).toBe(202)
  return answer.json<{ id: string; messageId: string }>()
}

/** State and reason of each recipient, once nothing is expected of any of them before his deadline, or he is as far as told. */
function fates(side: Side, from: string, id: string, far = 'processed'): Promise<Record<string, string>> {
  interface Recipient {
    readonly recipient: string
    readonly state: string
    readonly reason?: string
  }
  return until(async () => {
    const { recipients } = await get<{ recipients: Recipient[] }>(side, `${mailbox(from)}/submissions/${id}`)
    if (recipients.some(({ state }) => state !== 'failed' && state !== far)) return undefined
    return Object.fromEntries(
      recipients.map((one) => [one.recipient, [one.state, one.reason].filter(Boolean).join(' ')]),
    )
  }, 20_000)
}

/** Serial number, names and issuer of what a stranger finds. */
async function published(name: string): Promise<readonly string[]> {
  const found = await certificatesAt(names.port, name)
  return found.map((der) => new X509Certificate(der).subjectAltName ?? '')
}

describe('two gateways and nothing between them but names', () => {
  it('each publishes a certificate for its domain and for each address that has one', async () => {
    expect(await published(patients)).toEqual([`DNS:${patients}`])
    expect(await published(`pat.${patients}`)).toEqual([`email:${pat}`])
    expect(await published(`dr.${clinic}`)).toEqual([`email:${dr}`])
    expect(await published(`novice.${clinic}`)).toEqual([])
    expect(await published(`gone.${clinic}`)).toEqual([])
  })

  it('a patient writes with an attachment; he is told once that it is there; the provider answers', async () => {
    const attachment = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) & 0xff))
    const header = [
      `Disposition-Notification-To: <${pat}>`,
      'Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true',
    ]
    const sent = await send(near, pat, { to: [dr], subject: 'A question', header, attachment })
    const received = await message(far, dr, ({ messageId }) => messageId === sent.messageId)
    expect(received).toMatchObject({ from: pat, subject: 'A question', attachments: [{ name: 'series.bin' }] })
    const kept = await ask(far.serving.url, far.token, `${mailbox(dr)}/messages/${received.id}/attachments/0`)
    expect(kept.bytes.equals(attachment)).toBe(true)
    expect(await keysOf(`pat.${patients}`, patients)).toContain(received.protection.signerFingerprint)
    expect(await fates(near, pat, sent.id, 'dispatched')).toEqual({ [dr]: 'dispatched' })
    const isNotice = ({ notice }: Message) => notice?.originalMessageId === sent.messageId
    const [notice, ...more] = (await messages(near, pat)).filter(isNotice)
    expect(more).toEqual([])
    expect(notice).toMatchObject({ from: dr, notice: { kind: 'mdn', disposition: 'dispatched' } })
    expect(await keysOf(`dr.${clinic}`, clinic)).toContain(notice?.protection.signerFingerprint)

    const answered = await send(far, dr, { to: [pat], subject: 'An answer' })
    const answer = await message(near, pat, ({ messageId }) => messageId === answered.messageId)
    expect(answer).toMatchObject({ from: dr, subject: 'An answer' })
    expect(await fates(far, dr, answered.id)).toEqual({ [pat]: 'processed' })
    expect((await messages(far, dr)).filter(({ notice }) => notice)).toEqual([])
  })

  it('each explains why it trusts the other, in words that hold for mail', async () => {
    const asked = ['trust', 'explain', '--from', pat, '--to', dr]
    const [sending, receiving] = [await near.house.command(...asked), await far.house.command(...asked)]
    for (const text of [sending, receiving]) expect(text).toMatch(/trusted/)
    expect(sending).toContain(`dr.${clinic}`)
    expect(receiving).toContain(`pat.${patients}`)
    const unknown = await near.house.tried('trust', 'explain', '--from', pat, '--to', 'nobody@direct.nowhere.test')
    expect(unknown.code).toBe(1)
  })

  it('one message for two of the clinic and one who is not there: one envelope, and one notice about the one', async () => {
    const sent = await send(near, pat, { to: [dr, nurse, gone], subject: 'To three' })
    expect(await fates(near, pat, sent.id)).toEqual({
      [dr]: 'processed',
      [nurse]: 'processed',
      [gone]: expect.stringMatching(/^failed /),
    })
    const isIt = ({ messageId }: Message) => messageId === sent.messageId
    const [forDr, forNurse] = [await message(far, dr, isIt), await message(far, nurse, isIt)]
    // The same transaction, and so the same CMS: the spool id names what DATA brought.
    expect(forNurse.spoolId).toBe(forDr.spoolId)
    const aboutIt = async () =>
      (await messages(near, pat)).flatMap(({ notice }) =>
        notice?.originalMessageId === sent.messageId ? notice.kind : [],
      )
    expect(await aboutIt()).toEqual(['dsn'])
  })

  it('who is not proven has neither certificate nor mail; who is proven has both', async () => {
    const refused = await far.house.tried('key', 'request', '--owner', novice)
    expect(refused.code).toBe(1)
    expect(refused.err).toContain('waits for proof of identity')
    const early = await send(near, pat, { to: [novice], subject: 'Too early' })
    expect(await fates(near, pat, early.id)).toEqual({ [novice]: expect.stringMatching(/^failed /) })
    await far.house.command('address', 'proof', novice, '--level', 'ial2', '--method', 'badge, in person')
    await far.house.command('key', 'request', '--owner', novice)
    expect(await published(`novice.${clinic}`)).toEqual([`email:${novice}`])
    const later = await send(near, pat, { to: [novice], subject: 'In time' })
    expect(await fates(near, pat, later.id)).toEqual({ [novice]: 'processed' })
    const there = await message(far, novice, () => true)
    expect(there.subject).toBe('In time')
  })

  it('a revoked certificate is refused once the list was asked for anew; what is published now serves at once, and old mail reads', async () => {
    const before = await keysOf(`dr.${clinic}`)
    const [der = Buffer.of()] = await certificatesAt(names.port, `dr.${clinic}`)
    writeFileSync(join(near.house.folder, 'dr.cer'), der)
    const keys = await far.house.rows<{ id: string; owner: string }[]>('key', 'list')
    const { id = '' } = keys.find(({ owner }) => owner === dr) ?? {}
    await far.house.command('key', 'revoke', id, '--reason', 'keyCompromise')
    expect(await published(`dr.${clinic}`)).toEqual([])
    // The sender remembers the list for two seconds.
    await sleep(2_100)

    // What an operator brought in is not looked up: it is refused. Who does not ask encrypts to it still, as mail under way
    // does, and the revoked key opens that.
    await near.house.command('peer', 'add', 'dr.cer', '--for', dr)
    const refused = await send(near, pat, { to: [dr], subject: 'To a revoked key' })
    expect(await fates(near, pat, refused.id)).toEqual({ [dr]: 'failed revoked' })
    await near.house.command('domain', 'set', patients, '--revocation', 'off')
    const unasked = await send(near, pat, { to: [dr], subject: 'Under way' })
    await message(far, dr, ({ messageId }) => messageId === unasked.messageId)
    await near.house.command('domain', 'set', patients, '--revocation', 'hard')
    await near.house.command('peer', 'remove', id)

    // What was found in DNS is remembered for a minute, but nobody is refused for it: it is looked up once more.
    await far.house.command('key', 'request', '--owner', dr)
    expect(await keysOf(`dr.${clinic}`)).not.toEqual(before)
    const again = await send(near, pat, {
      to: [dr],
      subject: 'To the new key',
      header: [`Disposition-Notification-To: <${pat}>`],
    })
    expect(await fates(near, pat, again.id)).toEqual({ [dr]: 'processed' })
    await message(far, dr, ({ messageId }) => messageId === again.messageId)
    const notice = await message(near, pat, (one) => one.notice?.originalMessageId === again.messageId)
    expect(await keysOf(`dr.${clinic}`, clinic)).toContain(notice.protection.signerFingerprint)

    const old = await message(far, dr, ({ subject }) => subject === 'A question')
    const original = await ask(far.serving.url, far.token, `${mailbox(dr)}/messages/${old.id}/original`)
    expect(original.status).toBe(200)
    expect(original.bytes.toString('latin1')).toContain('series.bin')
  })

  it('nothing is left over: no mail waits, nothing is in quarantine, both houses are whole', async () => {
    for (const { house } of [near, far]) {
      await until(async () => (await house.rows<unknown[]>('queue', 'list')).length === 0 || undefined)
      expect(await house.rows('quarantine', 'list')).toEqual([])
      expect(await house.rows('verify')).toMatchObject({ whole: true, findings: 0, list: [] })
    }
  })
})

/** Fingerprints of the certificates at these names, each of which has exactly one. */
async function keysOf(...owners: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(owners.map((name) => certificatesAt(names.port, name)))
  expect(found.map((one) => one.length)).toEqual(owners.map(() => 1))
  return found.flat().map((der) => new X509Certificate(der).fingerprint256.replaceAll(':', '').toLowerCase())
}
