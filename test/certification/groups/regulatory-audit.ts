import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Level } from 'level'
import { start, until } from '../../fixtures/process.js'
import type { Look } from '../finding.js'
import { type Notes, notes } from './notes.js'
import { appToken } from './regulatory-app.js'
import {
  arrived,
  condition,
  digestOf,
  doctor,
  type Entry,
  entries,
  handedOver,
  letterTo,
  mailbox,
  ourDomain,
  put,
  type RegulatoryWorld,
  sessionOf,
  signedIn,
} from './regulatory-world.js'

/**
 * 45 CFR 170.315(d)(2) and (d)(10): whatever is done is told, with who, when, what and of whom; nothing turns that off, and
 * what cannot be told does not happen.
 */
export async function auditCase(world: RegulatoryWorld): Promise<Look> {
  const heard = notes()
  const owed = await deeds(world)
  await until(async () => (missing(owed, await entries(world, '')).length === 0 ? true : undefined), 15_000).catch(
    () => undefined,
  )
  const written = await entries(world, '')
  const end = world.now() + 1000
  heard.wrong.push(...missing(owed, written).map(({ what }) => `nothing tells of: ${what}`))
  for (const { at, action } of written.filter((one) => owed.some((deed) => isOf(deed, one)))) {
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(at)) heard.wrong.push(`${action} was at ${at}`)
  }
  for (const deed of owed)
    if (!written.some((one) => isOf(deed, one) && Date.parse(one.at) >= world.opened && Date.parse(one.at) <= end))
      heard.wrong.push(`the time of ${deed.what} is not when it was`)
  heard.seen.push(`${owed.length} kinds of deeds stand in the log`)
  await notToBeTurnedOff(world, heard)
  await untold(world, heard)
  return heard.look()
}

interface Deed {
  readonly what: string
  readonly action: RegExp
  readonly actor: RegExp
  readonly outcome: 'success' | 'refused'
  /** Ids that the entry names. */
  readonly about: readonly string[]
}

const isOf = ({ action, actor, outcome, about }: Deed, entry: Entry) =>
  action.test(entry.action) &&
  actor.test(entry.actor) &&
  entry.outcome === outcome &&
  about.every((id) => Object.values(entry.subject).includes(id))

const missing = (owed: readonly Deed[], written: readonly Entry[]) =>
  owed.filter((deed) => !written.some((entry) => isOf(deed, entry)))

/** Does everything once; answers what must be told of it. */
async function deeds(world: RegulatoryWorld): Promise<readonly Deed[]> {
  const { patient, neighbour, tokens, gateway, address } = world
  const deed = (
    what: string,
    action: RegExp,
    actor: RegExp,
    about: readonly string[] = [],
    outcome: Deed['outcome'] = 'success',
  ) => ({
    ...{ what, action, actor, outcome, about },
  })
  const [person, token, operator] = [new RegExp(`^person:${patient.person}$`), /^token:/, /^operator/]
  const { record } = patient
  const base = `/api/v1/records/${record}`
  const all: Deed[] = []

  // Coming in and going.
  const wrong = { json: { email: patient.email, password: `${patient.password}x` } }
  await world.fresh().ask('POST', '/api/v1/account/sign-in', wrong)
  const client = await signedIn(world, patient)
  const session = await sessionOf(client)
  const reader = await signedIn(world, patient)
  await reader.must(200, 'DELETE', `/api/v1/account/sessions/${await sessionOf(reader)}`)
  all.push(
    deed('a wrong password', /^person\.sign-in$/, person, [], 'refused'),
    deed('signing in', /^person\.sign-in$/, person, [session]),
    deed('signing out', /^(person\.sessions-ended|api\.account\.session-end)$/, person),
    deed('a token that nobody made', /^api\./, /^anonymous$/, [], 'refused'),
  )
  await world.fresh().ask('GET', `${base}/items`, { token: `dgt_${'A'.repeat(43)}` })

  // Mail that comes, is read and leaves.
  const subject = `audited ${Date.now()}`
  const spool =
    /^250 2\.0\.0 (\S+)/.exec(await handedOver(world, mailbox, await letterTo(world, mailbox, subject)))?.[1] ?? ''
  const message = await arrived(world, mailbox, subject)
  const box = `/api/v1/mailboxes/${encodeURIComponent(mailbox)}`
  await world.fresh().must(200, 'GET', `${box}/messages/${message}`, { token: tokens.mailbox })
  const mail = { to: [doctor], subject: 'Hello', text: 'All is well.' }
  const sent = await world.fresh().ask('POST', `${box}/messages`, { token: tokens.mailbox, json: mail })
  if (sent.status !== 202) throw new Error(`sending was answered ${sent.status}: ${sent.bytes}`)
  all.push(
    deed('receiving a message', /^message\.deliver$/, /^system$/, [spool, mailbox, message]),
    deed('looking at a message', /^api\.message/, token, [mailbox, message]),
    deed('handing a message in', /^(api\.messages?|message)\.su?b?m?i?t?(send)?/, token),
    deed('a message that left', /^message\.(send|deliver-out)$/, /^system$/, [doctor]),
  )

  // The record: written, seen, taken along, sent out.
  await put(world, client, condition('Audited'))
  await client.must(200, 'GET', `${base}/items`)
  await client.must(200, 'GET', `${base}/export?format=ccd&type=problem`)
  await client.must(200, 'GET', `/records/${record}/activity`)
  await neighbour.client.ask('GET', `${base}/items`)
  const out = { to: doctor, format: 'ccd', types: ['problem'] }
  const transmission = (await client.must(202, 'POST', `${base}/transmissions`, { json: out })).json<{ id: string }>()
    .id
  all.push(
    deed('writing an item', /^api\.items\.put$/, person, [record]),
    deed('looking at a record', /^api\.items\.list$/, person, [record]),
    deed('taking a record along', /^api\.record\.export$/, person, [record]),
    deed('looking at a page', /^page\./, person, [record]),
    deed('sending a record out', /transmit$/, person, [record, transmission]),
    deed('being refused a record', /^api\.items\.list$/, new RegExp(`^person:${neighbour.person}$`), [], 'refused'),
    deed('taking an address', /^address\.activated$|activate-address$/, person, [address]),
  )

  // Consent, given and taken back; sharing.
  await appToken(world, client, record)
  const grants = await client.must(200, 'GET', '/api/v1/grants')
  const [grant] = grants.json<{ grants: readonly { readonly id: string }[] }>().grants
  await client.must(200, 'DELETE', `/api/v1/grants/${grant?.id}`)
  const friend = { email: 'friend@mail.test', relationship: 'friend', custodian: true }
  const shares = `/api/v1/account/records/${record}/invitations`
  const { id } = (await client.must(201, 'POST', shares, { json: friend })).json<{ id: string }>()
  await client.must(200, 'DELETE', `${shares}/${id}`)
  all.push(
    deed('consent', /^(grant|consent)\./, person, [record, world.app.id]),
    deed('the end of consent', /revoke/, person, [grant?.id ?? 'no grant']),
    deed('sharing', /^api\.sharing\.invite$/, person, [record]),
    deed('the end of sharing', /^api\.sharing\.withdraw$/, person, [record]),
  )

  // Whom we trust, and who may do what.
  const { certificatePath, certificate } = world.authorities.nobodys
  const fingerprint = digestOf(certificate)
  await gateway.command('anchor', 'add', certificatePath, '--for', ourDomain)
  await gateway.command('anchor', 'remove', fingerprint, '--for', ourDomain)
  const secret = (await gateway.command('token', 'create', '--address', mailbox, '--scope', 'messages:read')).trim()
  const made = digestOf(Buffer.from(secret)).slice(0, 16)
  await gateway.command('token', 'revoke', made)
  all.push(
    deed('trusting an authority', /^anchor\.(added|changed)$/, operator, [fingerprint]),
    deed('trusting it no more', /^anchor\.removed$/, operator, [fingerprint]),
    deed('making a token', /^token\.created$/, operator, [made]),
    deed('ending a token', /^token\.revoked$/, operator, [made]),
    deed('reading the log itself', /^api\.audit\.read$/, token),
  )
  await entries(world, 'action=token.created')
  return all
}

/** No setting, no command and no request ends the log or takes anything out of it. */
async function notToBeTurnedOff(world: RegulatoryWorld, { wrong, hear }: Notes): Promise<void> {
  const { gateway, tokens } = world
  const schema = await gateway
    .command('config', 'schema')
    .catch(() => readFileSync('config/gateway.schema.json', 'utf8'))
  const names = [...schema.matchAll(/"([\w-]+)": *\{/g)].map(([, name = '']) => name)
  if (names.length < 50) wrong.push('the settings could not be read')
  if (names.some((name) => /audit/i.test(name))) wrong.push('a setting speaks of the audit log')
  const file = join(gateway.folder, 'silent.yaml')
  writeFileSync(file, `${readFileSync(join(gateway.folder, 'gateway.yaml'), 'utf8')}\naudit: { enabled: false }\n`)
  const silent = await start(['serve', '--config', 'silent.yaml'], { cwd: gateway.folder }).ended
  hear('a setting that would turn it off', `${silent.code} ${silent.err}${silent.out}`, /^[1-9]\d* [\s\S]*audit/)
  const help = await gateway.command('audit', '--help')
  const commands = [...help.slice(help.indexOf('Commands:')).matchAll(/^ {2}(\w[\w-]*)/gm)].map(([, name]) => name)
  hear('commands about it', commands.sort().join(), /^help,list,verify$|^list,verify$/)
  for (const method of ['DELETE', 'PUT', 'PATCH', 'POST'])
    hear(
      `${method} the log`,
      String((await world.fresh().ask(method, '/api/v1/audit', { token: tokens.everything, json: {} })).status),
      /^40[45]$/,
    )
}

/** A disk on which nothing can be written any more: then nothing is shown, changed or let in either. */
async function untold(world: RegulatoryWorld, { hear }: Notes): Promise<void> {
  const { patient, gateway } = world
  const client = await signedIn(world, patient)
  const path = `/api/v1/records/${patient.record}/items`
  const before = await client.must(200, 'GET', path)
  hear('a record before', before.bytes.toString(), /Audited/)
  await promisify(execFile)('prlimit', ['--pid', String(gateway.pid), '--fsize=1'])
  const asked: readonly (readonly [string, string, string])[] = [
    ['a record', 'GET', path],
    ['a document', 'GET', `/api/v1/records/${patient.record}/export?format=ccd`],
    ['a page', 'GET', `/records/${patient.record}/sharing`],
  ]
  for (const [what, method, where] of asked) {
    const answer = await client.ask(method, where).catch(hungUp)
    hear(
      `${what} that cannot be told of`,
      `${answer.status} ${answer.bytes}`,
      /^(0|50[03]) (?![\s\S]*(Audited|Pat Sample))/,
    )
  }
  const { email, password } = patient
  const late = await world.fresh().ask('POST', '/api/v1/account/sign-in', { json: { email, password } }).catch(hungUp)
  hear(
    'signing in that cannot be told of',
    `${late.status} ${late.headers['set-cookie'] ?? ''}`,
    /^(0|50[03]) (?!.*session)/,
  )
}

/** A gateway that ended, or hangs up, shows nothing either. */
const hungUp = () => ({ status: 0, headers: {} as Readonly<Record<string, unknown>>, bytes: Buffer.alloc(0) })

/** 45 CFR 170.315(d)(2)(v): whatever is changed in the log behind the gateway's back, the command finds, and where. */
export async function tamperCase(world: RegulatoryWorld): Promise<Look> {
  const heard = notes()
  const { gateway, measure } = world
  await gateway.close()
  const { code, said } = await gateway.tried('audit', 'verify')
  heard.hear('the log as it is', `${code} ${said}`, /^0 Intact/)
  const [, count = '0', head = ''] = /Intact: (\d+) entries, head (\S+)\./.exec(said) ?? []
  const last = Number(count)
  if (last < 20) heard.wrong.push(`only ${last} entries to change`)
  const middle = Math.floor(last / 2)
  const which = measure.program === undefined ? {} : { program: measure.program }

  for (const [name, { change, must, known }] of Object.entries(tamperings(middle, last))) {
    const folder = join(measure.home, name.replaceAll(' ', '-'))
    cpSync(gateway.folder, folder, { recursive: true, filter: (path) => !path.endsWith('.sock') })
    await changed(join(folder, 'data'), change)
    const verify = async (...words: string[]) => {
      const { code, out, err } = await start(['audit', 'verify', ...words, '--config', 'gateway.yaml'], {
        cwd: folder,
        ...which,
      }).ended
      return `${code} ${out}${err}`
    }
    if (known) heard.hear(`${name}, without a head`, await verify(), /^0 Intact/)
    heard.hear(name, await verify(...(known ? ['--known-head', head] : [])), must)
  }
  heard.seen.push(`${last} entries, ${Object.keys(tamperings(1, 2)).length} ways to change them`)
  return heard.look()
}

interface Rows {
  get(sequence: number): Promise<Buffer>
  put(sequence: number, value: Uint8Array): Promise<void>
  del(sequence: number): Promise<void>
}

interface Tampering {
  readonly change: (rows: Rows) => Promise<void>
  readonly must: RegExp
  /** What is left is a whole chain: found by a head that was written down alone. */
  readonly known?: true
}

/** 32 bytes of link, then the entry. */
const linkBytes = 32

function tamperings(at: number, last: number): Readonly<Record<string, Tampering>> {
  const broken = (sequence: number) => new RegExp(`^1 Broken at entry ${sequence}:`)
  return {
    'an entry that was edited': {
      async change({ get, put: write }) {
        const row = await get(at)
        const text = row.subarray(linkBytes).toString('utf8')
        const other = text.replace(/"outcome":"(\w)/, (_, letter: string) => `"outcome":"${letter === 's' ? 'r' : 's'}`)
        if (other === text) throw new Error('nothing was edited')
        await write(at, Buffer.concat([row.subarray(0, linkBytes), Buffer.from(other)]))
      },
      must: broken(at),
    },
    'an entry that was edited with its own link': {
      async change({ get, put: write }) {
        const before = (await get(at - 1)).subarray(0, linkBytes)
        const value = Buffer.from(
          (await get(at))
            .subarray(linkBytes)
            .toString('utf8')
            .replace(/"actor":"\w/, '"actor":"x'),
        )
        const link = createHash('sha256').update(before).update(value).digest()
        await write(at, Buffer.concat([link, value]))
      },
      must: broken(at + 1),
    },
    'an entry that was taken out': { change: (rows) => rows.del(at), must: broken(at) },
    'an entry that was taken out and the others moved up': {
      async change({ get, put: write, del }) {
        for (let n = at; n < last; n++) await write(n, await get(n + 1))
        await del(last)
      },
      must: broken(at),
    },
    'two entries in another order': {
      async change({ get, put: write }) {
        const [one, other] = [await get(at), await get(at + 1)]
        await write(at, other)
        await write(at + 1, one)
      },
      must: broken(at),
    },
    'an entry that was put in': {
      async change({ get, put: write }) {
        await write(last + 1, await get(last))
      },
      must: broken(last + 1),
    },
    'the last entries cut off': {
      async change({ del }) {
        for (let n = last - 2; n <= last; n++) await del(n)
      },
      must: broken(last - 2),
      known: true,
    },
  }
}

/** Changes rows of the log in the database itself, as somebody who has the disk does. */
async function changed(data: string, change: (rows: Rows) => Promise<void>): Promise<void> {
  const db = new Level<string, Buffer>(join(data, 'store'), {
    keyEncoding: 'utf8',
    valueEncoding: 'buffer',
    compression: false,
  })
  await db.open()
  const key = (sequence: number) => `log/audit\0${String(sequence).padStart(16, '0')}`
  try {
    await change({
      async get(sequence) {
        const row = await db.get(key(sequence))
        if (row === undefined) throw new Error(`no entry ${sequence}`)
        return row
      },
      put: (sequence, value) => db.put(key(sequence), Buffer.from(value)),
      del: (sequence) => db.del(key(sequence)),
    })
  } finally {
    await db.close()
  }
}
