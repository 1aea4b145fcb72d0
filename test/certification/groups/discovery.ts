import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../fixtures/process.js'
import { complete, type Finding, type Measure, wants } from '../finding.js'
import { decryptedFor, opened, recipientsOf, serialNumberOf, structureOf } from '../world/cms.js'
import { type NameServer, startNameServer } from '../world/dns.js'
import { deadlineSeconds, type Gateway, startGateway } from '../world/gateway.js'
import { startWeb, type WebServer } from '../world/http.js'
import { type DirectoryServer, startDirectory } from '../world/ldap.js'
import { innerFaults, outerFaults } from '../world/notice.js'
import { type OpenSsl, openSsl } from '../world/openssl.js'
import { type Authority, openPki } from '../world/pki.js'
import { startBind, startSlapd } from '../world/programs.js'
import { type Caught, type Sink, startSink } from '../world/sink.js'
import { type Directory, makeTool, type Tool } from './dcdt.js'

/** Mail to addresses whose certificates must be found, or must not be: DCDT's cases one by one, DirectTrust's as one message. */
const ourDomain = 'hisp.test'
const us = `sender@${ourDomain}`

/** The one certificate that each case is to be encrypted to; cases that are not here must not be sent at all. */
const dcdtTargets: Readonly<Record<number, string>> = {
  1: 'D1_valA',
  2: 'D2_valB',
  3: 'D3_valC',
  4: 'D4_valD',
  9: 'D9_valA',
  10: 'D10_valE',
  14: 'D14_valA',
  15: 'D15_valC',
  16: 'D16_valC',
  17: 'D17_valA',
  18: 'D18_valA',
}
/** 18 is to fail there. */
const directTrustTargets = Object.fromEntries(Object.entries(dcdtTargets).filter(([number]) => number !== '18'))

interface World {
  readonly measure: Measure
  readonly openssl: OpenSsl
  readonly web: WebServer
  readonly sink: Sink
  readonly names: NameServer
  readonly directories: Readonly<Record<Directory, DirectoryServer>>
  readonly ours: Authority
  readonly dcdt: Tool
  readonly directTrust: Tool
  readonly gateway: Gateway
  /** Filled once everything is over. */
  inbox: readonly string[]
}

/** One message that was sent, and what is known of it. */
interface Sent {
  readonly messageId: string
  readonly text: string
  readonly to: readonly string[]
  readonly reply: string
}

/** Runs the group: all messages are sent, all that is expected awaited, and after a quiet time each case judged. */
export async function discovery(measure: Measure): Promise<readonly Finding[]> {
  const closers: (() => Promise<unknown>)[] = []
  try {
    const world = await newWorld(measure, closers)
    const { gateway, dcdt, directTrust } = world
    const numbers = Array.from({ length: 18 }, (_, at) => at + 1).filter((n) => wants(measure, `DISC-D${n}`))
    measure.tell('discovery: messages are sent')
    const single = new Map<number, Sent>()
    for (const n of numbers) single.set(n, await send(gateway, `d${n}`, [dcdt.addresses[n - 1] ?? '']))
    const alone = (n: number, id: string) =>
      wants(measure, id) ? send(gateway, `dt${n}`, [directTrust.addresses[n - 1] ?? '']) : undefined
    const [fifteen, eighteen] = [await alone(15, 'DISC-SS2'), await alone(18, 'DISC-SS3')]
    const all = wants(measure, 'DISC-SS') ? await send(gateway, 'ss', directTrust.addresses) : undefined

    await settled(gateway)
    measure.tell('discovery: it is quiet')
    await sleep(measure.quietMs)
    world.inbox = await inboxOf(gateway)
    const findings: Finding[] = []
    const judge = (
      sent: Sent | undefined,
      id: string,
      tool: Tool,
      target: string | undefined,
      more: readonly string[] = [],
    ) => (sent ? judged(world, id, sent, tool, target, more) : undefined)
    for (const [n, sent] of single) {
      const found = await judge(sent, `DISC-D${n}`, dcdt, dcdtTargets[n], witnessed(world, n))
      if (found) findings.push(found)
    }
    const others = [
      await judge(fifteen, 'DISC-SS2', directTrust, 'D15_valC', notAsked(world, 'LDAP2', directTrust.addresses[14])),
      await judge(eighteen, 'DISC-SS3', directTrust, undefined),
      all && (await judgedTogether(world, all)),
    ]
    return complete('discovery', measure, [...findings, ...others.filter((found) => found !== undefined)])
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function newWorld(measure: Measure, closers: (() => Promise<unknown>)[]): Promise<World> {
  const openssl = openSsl(join(measure.home, 'openssl'))
  const web = await startWeb()
  closers.push(web.close)
  const sink = await startSink()
  closers.push(sink.close)
  const pki = openPki(openssl)
  const place = (name: string) => ({ crl: `${web.url}/${name}.crl`, aia: `${web.url}/${name}.cer` })
  const root = await pki.root('dcdt.test_ca_root', place('root'))
  const intermediate = await root.subordinate('dcdt.test_ca_intermediate1', place('intermediate1'))
  const publish = (path: string, bytes: () => Buffer | Promise<Buffer>) =>
    web.places.set(path, { kind: 'bytes', type: 'application/octet-stream', bytes })
  publish('/root.cer', () => root.certificate)
  publish('/intermediate1.cer', () => intermediate.certificate)
  measure.tell('discovery: certificates are made')
  const by = { root, intermediate }
  const dcdt = await makeTool('dcdt', 'dcdt.test', by)
  const directTrust = await makeTool('direct-trust', 'dt.test', by)
  const lists = { root: await root.list(), intermediate: await intermediate.list() }
  publish('/root.crl', () => lists.root)
  publish('/intermediate1.crl', () => lists.intermediate)

  const own = measure.peers === 'own'
  const directory = async (name: Directory) => {
    const entries = [...dcdt.entries(name), ...directTrust.entries(name)]
    const started = await (own ? startDirectory(entries) : startSlapd(join(measure.home, name), entries))
    closers.push(started.close)
    return started
  }
  const directories = {
    LDAP1: await directory('LDAP1'),
    LDAP2: await directory('LDAP2'),
    LDAP3: await directory('LDAP3'),
  }
  const ports = { LDAP1: directories.LDAP1.port, LDAP2: directories.LDAP2.port, LDAP3: directories.LDAP3.port }
  const zone = [...dcdt.zone(ports), ...directTrust.zone(ports)]
  const names = await (own ? startNameServer(zone) : startBind(join(measure.home, 'bind'), zone))
  closers.push(names.close)

  const ours = await pki.root('HISP Root')
  const key = await ours.issue('HISP', { subjectAltName: `DNS:${ourDomain}` })
  const gateway = await startGateway(
    join(measure.home, 'gateway'),
    {
      domains: { [ourDomain]: [us] },
      keys: [{ owner: ourDomain, party: key }],
      anchors: [{ owner: ourDomain, party: root }],
      commands: [['domain', 'set', ourDomain, '--revocation', 'hard']],
    },
    { namePort: names.port, sinkPort: sink.port, ...(measure.program !== undefined && { program: measure.program }) },
  )
  closers.push(gateway.close)
  return { measure, openssl, web, sink, names, directories, ours, dcdt, directTrust, gateway, inbox: [] }
}

/** Gives the gateway one message to send, through its API. */
async function send(gateway: Gateway, name: string, to: readonly string[]): Promise<Sent> {
  const messageId = `<${name}@${ourDomain}>`
  const text = `This is the message of ${name}.`
  const message = [
    `From: <${us}>`,
    `To: ${to.map((address) => `<${address}>`).join(',\r\n ')}`,
    'Subject: Discovery',
    `Message-ID: ${messageId}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    '',
    text,
    '',
  ].join('\r\n')
  const { status, bytes } = await gateway.ask(`/api/v1/mailboxes/${encodeURIComponent(us)}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'message/rfc822' },
    body: message,
  })
  return { messageId, text, to, reply: status === 202 ? '' : `${status} ${bytes.toString().slice(0, 200)}` }
}

/** Waits until nothing is on its way out: what cannot be decided has a deadline. */
async function settled(gateway: Gateway): Promise<void> {
  await until(
    async () => {
      const waiting = JSON.parse(await gateway.command('queue', 'list', '--json')) as readonly {
        readonly queue: string
      }[]
      await sleep(500)
      return waiting.some(({ queue }) => /submission|outbound|inbound/.test(queue)) ? undefined : true
    },
    (deadlineSeconds + 30) * 1000,
  ).catch(() => undefined)
}

/** Everything in our mailbox, as text with unfolded lines. */
async function inboxOf(gateway: Gateway): Promise<readonly string[]> {
  const all: string[] = []
  for (const { id } of await gateway.messages(us))
    all.push((await gateway.original(us, id)).toString('latin1').replace(/\r?\n[ \t]+/g, ' '))
  return all
}

/** Failure notices in our mailbox about one message, each by the recipient it is about. */
function failuresOf(inbox: readonly string[], { messageId }: Sent): readonly string[] {
  const bare = messageId.replace(/[<>]/g, '')
  const found: string[] = []
  for (const text of inbox) {
    if (!/report-type="?delivery-status/i.test(text) || !text.includes(bare)) continue
    // What the testing tools take for a failure (ETT): the report names the message it is about.
    const names = new RegExp(`^(X-)?Original-Message-ID:\\s*<?${bare}`, 'im').test(text)
    for (const [, address = '', action = ''] of text.matchAll(
      /^Final-Recipient:\s*rfc822;\s*(\S+)[\s\S]*?^Action:\s*(\S+)/gim,
    ))
      found.push(names && action.toLowerCase() === 'failed' ? address.toLowerCase() : `${address} (${action})`)
  }
  return found.sort()
}

async function mailsOf({ sink, openssl, ...world }: World, sent: Sent, tool: Tool): Promise<readonly Caught[]> {
  const addresses = new Set(sent.to)
  const candidates = sink.caught.filter(({ to }) => to.some((one) => addresses.has(one)))
  const own: Caught[] = []
  for (const caught of candidates) {
    // Two messages may go to one address: its reader tells which this is.
    const readers = [...tool.credentials.values()]
    const structure = recipientsOf(await structureOf(openssl, caught.wire))
    for (const reader of readers) {
      if (!structure.includes(serialNumberOf(reader))) continue
      const read = await opened(openssl, caught.wire, reader, world.ours.certificatePath)
      if (read.kind === 'closed' || read.entity.includes(sent.messageId)) own.push(caught)
      break
    }
    if (structure.length === 0) own.push(caught)
  }
  return own
}

/** One message to one address: encrypted to exactly the target, or not sent and told so once. */
async function judged(
  world: World,
  id: string,
  sent: Sent,
  tool: Tool,
  target: string | undefined,
  faults: readonly string[],
): Promise<Finding> {
  const [address = ''] = sent.to
  const mails = await mailsOf(world, sent, tool)
  const failures = failuresOf(world.inbox, sent)
  const wrong = [...faults, ...(sent.reply === '' ? [] : [`the API said ${sent.reply}`])]
  if (target === undefined) {
    if (mails.length > 0) wrong.push(`${mails.length} mails left`)
    if (failures.join() !== address) wrong.push(`failure notices: ${failures.join(' ') || 'none'}`)
    return told(id, wrong, `nothing left, ${failures.length} failure notice`)
  }
  if (mails.length !== 1) wrong.push(`${mails.length} mails arrived`)
  if (failures.length > 0) wrong.push(`failure notices: ${failures.join(' ')}`)
  for (const mail of mails) {
    if (mail.to.join() !== address) wrong.push(`RCPT ${mail.to.join(' ')}`)
    wrong.push(...(await readFaults(world, mail, sent, tool, [target])))
  }
  return told(id, wrong, `encrypted for ${target} only`)
}

/** One message to all addresses: one envelope for exactly the good ones, a failure notice for each of the others. */
async function judgedTogether(world: World, sent: Sent): Promise<Finding> {
  const { directTrust: tool } = world
  const mails = await mailsOf(world, sent, tool)
  const failures = failuresOf(world.inbox, sent)
  const good = sent.to.filter((_, at) => directTrustTargets[String(at + 1)] !== undefined)
  const bad = sent.to.filter((_, at) => directTrustTargets[String(at + 1)] === undefined)
  const wrong = sent.reply === '' ? [] : [`the API said ${sent.reply}`]
  const reached = mails.flatMap(({ to }) => to).sort()
  if (reached.join() !== [...good].sort().join()) wrong.push(`mail for ${reached.join(' ') || 'nobody'}`)
  if (failures.join() !== [...bad].sort().join()) wrong.push(`failure notices: ${failures.join(' ') || 'none'}`)
  const bodies = new Set(mails.map(({ wire }) => wire.subarray(wire.indexOf('\r\n\r\n')).toString('latin1').trim()))
  if (bodies.size !== 1) wrong.push(`${bodies.size} envelopes`)
  const [first] = mails
  if (first) wrong.push(...(await readFaults(world, first, sent, tool, Object.values(directTrustTargets))))
  return told('DISC-SS', wrong, `one envelope for ${good.length}, ${failures.length} failure notices`)
}

/** What is wrong with one mail: for whom it is encrypted, what is in it, and how it is written. */
async function readFaults(
  { openssl, ours }: World,
  { wire }: Caught,
  sent: Sent,
  tool: Tool,
  targets: readonly string[],
): Promise<readonly string[]> {
  const wrong = outerFaults(wire.toString('latin1'))
  const structure = await structureOf(openssl, wire)
  const serials = new Map<string, string>()
  for (const [name, party] of tool.credentials) serials.set(serialNumberOf(party), name)
  const readers = recipientsOf(structure).map((serial) => serials.get(serial) ?? serial)
  if ([...readers].sort().join() !== [...targets].sort().join()) wrong.push(`encrypted for ${readers.join(' ')}`)
  if (!/aes-(128|192|256)-cbc/i.test(structure)) wrong.push('the content is not AES-CBC')
  if (/d\.subjectKeyIdentifier/i.test(structure)) wrong.push('a recipient is named by its key identifier')
  for (const [name, party] of tool.credentials) {
    if (targets.includes(name)) {
      const read = await opened(openssl, wire, party, ours.certificatePath)
      if (read.kind === 'closed') wrong.push(read.detail)
      else if (!read.entity.includes(sent.text) || !read.entity.includes(sent.messageId)) wrong.push('other content')
    }
  }
  const [reader] = targets.map((name) => tool.credentials.get(name))
  const inner = reader && (await decryptedFor(openssl, wire, reader))
  if (inner?.kind === 'opened') wrong.push(...innerFaults(inner.entity))
  return wrong
}

function told(id: string, wrong: readonly string[], seen: string): Finding {
  return {
    id,
    passed: wrong.length === 0,
    seen: wrong.length === 0 ? seen : wrong.map((one) => `!! ${one}`).join(', '),
  }
}

/** What the servers saw, where the case is about that. */
function witnessed({ names, web, dcdt, ...world }: World, n: number): readonly string[] {
  const address = dcdt.addresses[n - 1]
  switch (n) {
    case 14: {
      const owner = address?.replace('@', '.')
      const asked = names.asked?.some(({ name, type, over }) => name === owner && type === 'CERT' && over === 'tcp')
      return asked === false ? ['the name server was not asked over TCP'] : []
    }
    case 15:
      return notAsked(world, 'LDAP2', address)
    case 16:
      return notAsked(world, 'LDAP1', address)
    case 17:
      return web.asked.includes('/root.crl') ? [] : ['no revocation list was fetched']
    case 18:
      return web.asked.includes('/intermediate1.cer') ? [] : ['the intermediate certificate was not fetched']
    default:
      return []
  }
}

function notAsked({ directories }: Pick<World, 'directories'>, name: Directory, address = ''): readonly string[] {
  return directories[name].asked?.includes(address) ? [`${name} was asked too`] : []
}
