import { readFileSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { ZipFile } from 'yazl'
import { type LintFinding, lintDirect } from '../../fixtures/direct-lint.js'
import { complete, type Finding, type RunGroup } from '../finding.js'
import { decryptedFor, opened, structureOf } from '../world/cms.js'
import { readFile } from '../world/openssl.js'
import type { Caught } from '../world/sink.js'
import { messageIdIn } from '../world/told.js'
import { type Attached, type Content, cda, image, mixed, only, pdf, text } from './letters.js'
import { received } from './tracked-inbound.js'
import { edgeAddress, farDomain, ourDomain } from './tracked-letters.js'
import { openTracked, type TrackedWorld } from './tracked-world.js'

/** Everything that leaves the gateway, messages and notices alike, held against the rules of the validators. */

/** Which rules each case is about; see test/fixtures/direct-lint.ts, and below for those in capitals. */
const rulesOf: Readonly<Record<string, RegExp>> = {
  'SEND-DT-ENC': /^(cms|cipher|transport|129|OAEP|ISSUER|KEY-USAGE)$/,
  'SEND-DT-SIG': /^(133b|133c|160|164|165|167|222|C1|VERIFIES|BINDS)$/,
  'SEND-DT-WRAP': /^(wrapped|outer-subject|same-.*|.*-inner|INNER-ONLY)$/,
  'SEND-DT-MIME': /^(lines-.*|length-.*|.*-inner|BODY)$/,
  'SEND-ETT-ENV': /^(133a|201|202|203|161|206-outer|129)$/,
  'SEND-ETT-SIG': /^(133b|160|161-signature|164|165|167|205|206-signature|207|222)$/,
  'SEND-ETT-CERT': /^(225|240|wildcard|key-size|C1)$/,
  'SEND-ETT-HDR': /^(102b|114|115|116|118|120|121)-(inner|outer)$/,
  'SEND-ETT-XDM': /^124$/,
  'SEND-ETT-MDN': /^(wrapped|129|452|457|459|460|461|462)$/,
}

interface Outgoing {
  readonly name: string
  readonly edge: 'smtp' | 'api'
  readonly header?: readonly string[]
  readonly to?: readonly string[]
  readonly subject?: string
  readonly content: Content
}

const addressees = [1, 2, 3].map((n) => `reader${n}@${farDomain}`)

function letters(xdm: Attached): readonly Outgoing[] {
  const contents: readonly (readonly [string, Content])[] = [
    ['text', text()],
    ['cda-alone', only(cda)],
    ['all-kinds', mixed(cda, image, pdf)],
  ]
  return [
    ...contents.flatMap(([name, content]) =>
      (['smtp', 'api'] as const).map((edge): Outgoing => ({ name: `${name}-${edge}`, edge, content })),
    ),
    { name: 'three', edge: 'smtp', content: text(), to: addressees },
    { name: 'sender', edge: 'smtp', content: text(), header: [`Sender: <${edgeAddress('smtp')}>`] },
    { name: 'bcc', edge: 'smtp', content: text(), header: ['Bcc: <nobody.sees@far.test>'] },
    { name: 'dots', edge: 'smtp', content: text('.\r\n..\r\n.leading\r\nFrom the first column\r\n\t trailing \t ') },
    { name: 'words', edge: 'smtp', content: text(), subject: '=?utf-8?q?=C3=9Cberweisung?= nach Muster' },
    { name: 'xdm', edge: 'smtp', content: mixed(xdm), subject: 'XDM/1.0/DDM A patient' },
    { name: 'xdm-unnamed', edge: 'api', content: mixed(xdm), subject: 'A patient' },
  ]
}

function written({
  name,
  edge,
  header = [],
  to = addressees.slice(0, 1),
  subject = 'A note',
  content,
}: Outgoing): string {
  return [
    `From: <${edgeAddress(edge)}>`,
    `To: ${to.map((one) => `<${one}>`).join(', ')}`,
    `Subject: ${subject}`,
    `Message-ID: <${name}@ehr.${ourDomain}>`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    ...header,
    'MIME-Version: 1.0',
    content.mime,
  ].join('\r\n')
}

/** A small archive as XDM has it. */
async function archive(): Promise<Attached> {
  const zip = new ZipFile()
  for (const [path, words] of [
    ['INDEX.HTM', '<html/>'],
    ['README.TXT', 'Read me.'],
    ['IHE_XDM/SUBSET01/METADATA.XML', '<SubmitObjectsRequest xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"/>'],
  ] as const)
    zip.addBuffer(Buffer.from(words), path)
  zip.end()
  return { name: 'xdm.zip', type: 'application/zip', bytes: await buffer(zip.outputStream as NodeJS.ReadableStream) }
}

/** Runs the group: messages of every kind by both ways, and mail from outside, so that notices leave too. */
export const sending: RunGroup = async (measure) => {
  const closers: (() => Promise<unknown>)[] = []
  try {
    const world = await openTracked(
      measure,
      'sending',
      { timers: { processed: 600, dispatched: 600 }, edges: ['smtp'], receives: true },
      closers,
    )
    const outgoing = letters(await archive())
    const faults: string[] = []
    for (const one of outgoing) {
      const reply = await world.submit(one.edge, one.to ?? addressees.slice(0, 1), written(one))
      if (!reply.startsWith('250')) faults.push(`${one.name} was refused: ${reply}`)
    }
    // What notices say is judged with them elsewhere; here they must only come, and be written as they must.
    await received({ ...world, measure: { ...measure, only: new Set(['MT39', 'MT41']) } })
    const { caught } = world.far
    const mailOf = ({ name }: Outgoing) =>
      caught.filter(({ wire }) => messageIdIn(wire.toString('latin1')) === `${name}@ehr.${ourDomain}`)
    for (const end = Date.now() + 30_000; Date.now() < end && outgoing.some((one) => mailOf(one).length === 0); )
      await sleep(200)
    for (const one of outgoing) {
      const times = mailOf(one).length
      if (times !== 1) faults.push(`${one.name} arrived ${times} times`)
    }
    const judged: LintFinding[] = []
    for (const mail of caught) {
      const letter = outgoing.find(
        ({ name }) => messageIdIn(mail.wire.toString('latin1')) === `${name}@ehr.${ourDomain}`,
      )
      judged.push(...(await judgedMail(world, mail, letter)))
    }
    return complete('sending', measure, findings(judged, caught.length, faults))
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

function findings(judged: readonly LintFinding[], mails: number, faults: readonly string[]): readonly Finding[] {
  return Object.entries(rulesOf).map(([id, rules]) => {
    const own = judged.filter(({ rule }) => rules.test(rule))
    const broken = [...new Set(own.filter(({ ok }) => !ok).map(({ rule, detail }) => `${rule}: ${detail}`))]
    const wrong = [...faults, ...broken]
    const seen = `${own.length} rules held of ${mails} mails`
    // A case of which no rule was ever asked has proved nothing.
    return {
      id,
      passed: own.length > 0 && wrong.length === 0,
      seen:
        wrong.length > 0 ? wrong.map((one) => `!! ${one}`).join(', ') : own.length > 0 ? seen : 'nothing was judged',
    }
  })
}

async function judgedMail(
  world: TrackedWorld,
  { wire }: Caught,
  letter: Outgoing | undefined,
): Promise<readonly LintFinding[]> {
  const { openssl, seals, ours } = world
  const [recipientKeyPem, recipientCertPem] = [
    readFileSync(seals.far.keyPath, 'utf8'),
    readFileSync(seals.far.certificatePath, 'utf8'),
  ]
  const found = [...(await lintDirect({ wire, recipientKeyPem, recipientCertPem }))]
  const rule = (name: string, ok: boolean, detail: string) => void found.push({ rule: name, ok, detail })
  const structure = await structureOf(openssl, wire)
  rule(
    'ISSUER',
    /d\.issuerAndSerialNumber/.test(structure) && !/d\.subjectKeyIdentifier/.test(structure),
    'named by issuer and serial number',
  )
  // What accreditation demands where nobody chose another way.
  rule(
    'OAEP',
    /rsaesOaep/.test(structure) && !/algorithm: rsaEncryption/.test(structure) && /sha256/i.test(structure),
    'RSAES-OAEP with SHA-256',
  )

  const verified = await opened(openssl, wire, seals.far, ours.certificatePath)
  rule('VERIFIES', verified.kind === 'opened', `${letter?.name}: ${verified.kind === 'closed' ? verified.detail : ''}`)
  const inner = await decryptedFor(openssl, wire, seals.far)
  if (verified.kind === 'closed' || inner.kind === 'closed') return found
  const signer = await signerOf(world, inner.entity)
  rule('KEY-USAGE', /Digital Signature/.test(signer), 'the signer may sign')
  const from = /^from:.*@([^\s<>]+)>?\s*$/im.exec(verified.entity)?.[1] ?? ''
  rule('BINDS', from !== '' && new RegExp(`DNS:${from.replaceAll('.', '\\.')}(\\s|$)`).test(signer), `From @${from}`)
  const outer = wire.toString('latin1').split('\r\n\r\n')[0] ?? ''
  const names = [...outer.matchAll(/^([A-Za-z-]+):/gm)].map(([, name = '']) => name.toLowerCase())
  const minimal = /^(from|to|date|message-id|mime-version|content-[a-z-]+)$/
  const more = names.filter((name) => !minimal.test(name))
  rule('INNER-ONLY', more.length === 0, `outside the protection: ${more.join(' ')}`)
  if (letter)
    rule(
      'BODY',
      verified.entity.includes(Buffer.from(letter.content.mime.trimEnd()).toString('latin1')),
      `${letter.name} is not what was written`,
    )
  return found
}

/** What OpenSSL prints of the certificate that signed, as one that S/MIME signatures may come from. */
async function signerOf({ openssl, ours }: TrackedWorld, entity: string): Promise<string> {
  const [input, signer] = [openssl.write('inner', Buffer.from(entity, 'latin1')), openssl.path('signer.pem')]
  const words = [
    '-CAfile',
    ours.certificatePath,
    '-purpose',
    'smimesign',
    '-in',
    input,
    '-signer',
    signer,
    '-out',
    openssl.path('message'),
  ]
  try {
    await openssl('cms', '-verify', ...words)
    await readFile(signer)
    return (await openssl('x509', '-in', signer, '-noout', '-text')).toString()
  } catch (error) {
    return String(error)
  }
}
