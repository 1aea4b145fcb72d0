import { join } from 'node:path'
import { openMail } from '../../../src/demo/mail.js'
import { until } from '../../fixtures/process.js'
import { cases } from '../cases.js'
import type { Measure } from '../finding.js'
import { startNameServer } from '../world/dns.js'
import { type Dovecot, startDovecot } from '../world/dovecot.js'
import { type Gateway, startGateway } from '../world/gateway.js'
import { openSsl } from '../world/openssl.js'
import { openPki } from '../world/pki.js'
import { startBind } from '../world/programs.js'
import { startSink } from '../world/sink.js'
import { type StockMail, stockParsed } from '../world/stock.js'
import { mailDomain } from '../world/zone.js'
import { compose, type Letter, mixed, ourAddress, ourDomain, text, theirDomain } from './letters.js'
import { documents, type Sample } from './samples.js'

/** A mailbox that an edge client reads: mail of a far side, through the gateway and over LMTP into a Dovecot beside it. */
export interface MailboxWorld {
  readonly dovecot: Dovecot
  readonly gateway: Gateway
  readonly account: string
  readonly secret: string
  /** In the order in which they were sent, each after the one before had come. */
  readonly letters: readonly Letter[]
  /** An address that nobody has come from: who fails waits longer each time, by where he comes from. */
  fresh(): string
}

const account = 'ehr-reader'
const closedAccount = 'ehr-closed'

/** Opens it: everything that was sent lies in the mailbox. What must be closed at the end is put on the list. */
export async function openMailbox(measure: Measure, closers: (() => Promise<unknown>)[]): Promise<MailboxWorld> {
  const openssl = openSsl(join(measure.home, 'openssl'))
  const pki = openPki(openssl)
  const [theirs, ours] = [await pki.root('Clinic Root'), await pki.root('Patients Root')]
  const sender = await theirs.issue('Clinic', { subjectAltName: `DNS:${theirDomain}` })
  const key = await ours.issue('Patients', { subjectAltName: `DNS:${ourDomain}` })
  const zone = mailDomain(theirDomain)
  const names =
    measure.peers === 'programs' ? await startBind(join(measure.home, 'bind'), zone) : await startNameServer(zone)
  closers.push(names.close)
  const sink = await startSink()
  closers.push(sink.close)
  const dovecot = await startDovecot()
  closers.push(dovecot.stop)
  const gateway = await startGateway(
    join(measure.home, 'gateway'),
    {
      domains: { [ourDomain]: [ourAddress] },
      keys: [{ owner: ourDomain, party: key }],
      anchors: [{ owner: ourDomain, party: theirs }],
      commands: [['address', 'edge', ourAddress, 'dovecot']],
    },
    {
      namePort: names.port,
      sinkPort: sink.port,
      more: [
        'edge:',
        '  systems:',
        `    dovecot: { protocol: lmtp, host: 127.0.0.1, port: ${dovecot.lmtpPort}, tls: required, caFile: ${dovecot.caPath} }`,
        '  scheduleSeconds: [1]',
        `  dovecot: { usersFile: ${dovecot.usersFile} }`,
      ],
      ...(measure.program !== undefined && { program: measure.program }),
    },
  )
  closers.push(gateway.close)
  const secret = await newAccount(gateway, account)
  const [firstCase = ''] = cases.filter(({ group }) => group === 'imap-pop').map(({ id }) => id)
  const letters = await Promise.all(
    contents().map(([about, content]) =>
      compose(openssl, key, firstCase, { about, signers: [sender], expect: 'processed', content }),
    ),
  )
  measure.tell(`imap-pop: ${letters.length} letters are on their way`)
  await dovecot.knows(account)
  for (const [n, { from, to, wire }] of letters.entries()) {
    const session = await openMail(gateway.smtpPort)
    const reply = await session.send(from, [to], wire)
    session.close()
    if (!reply.startsWith('250')) throw new Error(`the gateway did not take a letter: ${reply}`)
    await until(async () => ((await dovecot.readMail(account, secret)).length > n ? true : undefined), 30_000).catch(
      (cause: unknown) => {
        throw new Error(`letter ${n} never came to the mailbox: ${dovecot.said().slice(-300)}`, { cause })
      },
    )
  }
  let clients = 10
  return { dovecot, gateway, account, secret, letters, fresh: () => `127.0.0.${++clients}` }
}

/** Makes an account that reads our address; answers its secret. */
async function newAccount(gateway: Gateway, name: string): Promise<string> {
  const said = await gateway.command('account', 'add', name, '--reads', ourAddress)
  const secret = /dge_[A-Za-z0-9_-]+/.exec(said)?.[0]
  if (secret === undefined) throw new Error(`account add showed no secret: ${said}`)
  return secret
}

/** Another account that was let in, and then disabled by its operator. Rejects where it is not let in. */
export async function closedLogin({ gateway, dovecot }: MailboxWorld): Promise<{ account: string; secret: string }> {
  const secret = await newAccount(gateway, closedAccount)
  await dovecot.knows(closedAccount)
  await dovecot.readMail(closedAccount, secret)
  await gateway.command('account', 'disable', closedAccount)
  await dovecot.knows(closedAccount, false)
  return { account: closedAccount, secret }
}

/** What the letters hold: lines that a careless server changes, and documents. */
function contents() {
  const { ccda, oddCcda, pdf, image, xdm } = documents
  return [
    ['dots', text('A line\r\n.\r\n..\r\n.QUIT\r\n \r\nA1 OK FETCH completed\r\n+OK\r\nGrüße {5}')],
    ['attachments', mixed(ccda, pdf, image)],
    ['archive', mixed(oddCcda, xdm)],
  ] as const
}

/** What is wrong with messages as they were read from the mailbox, held against what was sent. */
export async function mailFaults(letters: readonly Letter[], read: readonly Buffer[]): Promise<string[]> {
  if (read.length !== letters.length) return [`${read.length} messages, not ${letters.length}`]
  const parsed = await stockParsed(read)
  return letters.flatMap((letter, n) => {
    const [mail, raw] = [parsed[n], read[n]]
    return mail && raw ? faultsOf(letter, raw, mail).map((fault) => `letter ${letter.about}: ${fault}`) : ['not read']
  })
}

function faultsOf({ original, attachments, messageId, from }: Letter, raw: Buffer, mail: StockMail): string[] {
  const wrong: string[] = []
  const bodyOf = (message: Buffer) => message.subarray(message.indexOf('\r\n\r\n'))
  if (!bodyOf(raw).equals(bodyOf(original))) wrong.push('its body is not what was written')
  if (mail.fields['message-id'] !== messageId) wrong.push(`its Message-ID is ${mail.fields['message-id']}`)
  if (!mail.fields['from']?.includes(from)) wrong.push(`it is from ${mail.fields['from']}`)
  wrong.push(...mail.defects)
  for (const sent of attachments) {
    const document = Object.values<Sample>(documents).find(({ bytes }) => bytes.equals(sent))
    const part = mail.parts.find(({ bytes }) => bytes.equals(sent))
    if (!document || !part) wrong.push(`${document?.name ?? 'an attachment'} did not come byte for byte`)
    else if (part.name !== document.name || part.type !== document.type)
      wrong.push(`${document.name} (${document.type}) came as ${part.name} (${part.type})`)
    else if (part.root !== (document.root ?? null)) wrong.push(`${document.name} is read as ${part.root}`)
  }
  return wrong
}
