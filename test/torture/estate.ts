import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { listenForMail, type MailSession, openMail, type ReceivedMail } from '../../src/demo/mail.js'
import { openMessage } from '../../src/smime/open.js'
import { sealMessage } from '../../src/smime/seal.js'
import {
  ask,
  type Estate,
  furnished,
  letterHead,
  patient,
  type Serving,
  type StartOptions,
  sender,
  serve,
  start,
  until,
} from '../fixtures/process.js'
import { ready } from '../smime/identities.js'
import type { Dice } from './dice.js'

/** A furnished gateway that dies and comes back, its far side, and senders that keep what was not acknowledged. */
export interface Ground {
  readonly estate: Estate
  readonly token: string
  readonly mail: Awaited<ReturnType<typeof listenForMail>>
  /** `data` below it is what lasts. */
  readonly folder: string
  /** Puts the data folder back as it was when furnished. */
  renew(): void
  serve(options?: Partial<StartOptions>): Promise<Serving>
  close(): void
}

/** All mail of a run goes to one far side, which minds no burst. */
const environment = { DIRECT_GATEWAY_OUTBOUND_CONNECTIONS_PER_DOMAIN: '32' }

export async function makeGround(more = ''): Promise<Ground> {
  const mail = await listenForMail()
  const estate = await furnished(mail.port, more)
  const { folder } = estate
  const create = ['token', 'create', '--address', '*', '--scope', 'messages:read', '--config', 'gateway.yaml']
  const token = (await command(folder, undefined, ...create)).trim()
  cpSync(join(folder, 'data'), join(folder, 'furnished'), { recursive: true })
  return {
    estate,
    token,
    mail,
    folder,
    renew() {
      rmSync(join(folder, 'data'), { recursive: true, force: true })
      cpSync(join(folder, 'furnished'), join(folder, 'data'), { recursive: true })
    },
    serve: (options = {}) => serve(folder, { ...options, env: { ...environment, ...options.env } }),
    close() {
      mail.close()
      estate.remove()
    },
  }
}

/** Runs one command of the gateway to its end, of a copy where named; answers its stdout. Throws where it fails. */
export async function command(cwd: string, program: string | undefined, ...argv: string[]): Promise<string> {
  const { code, out, err } = await start(argv, { cwd, ...(program !== undefined && { program }) }).ended
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${err.slice(-500)}`)
  return out
}

export interface Letter {
  readonly messageId: string
  readonly wire: Buffer
  acknowledged: boolean
  /** How often it was sent, whatever came of it. */
  tries: number
}

/** Writes letters one after the other, every eighth (or as said) too large for a row of the store. */
export function letterWriter({ estate }: Ground, prefix: string, chance: Dice, largeEvery = 8): () => Letter {
  const signer = ready({ ...estate.provider, fingerprint: 'provider' })
  let count = 0
  return () => {
    const id = `${prefix}-${count++}`
    const messageId = `<${id}@direct.hospital.example>`
    const body = count % largeEvery === 0 ? chance.bytes(120_000).toString('base64') : 'All is well.'
    const content = `Content-Type: text/plain; charset=utf-8\r\n\r\n${body.replace(/.{72}/g, '$&\r\n')}\r\n`
    const sealed = sealMessage(Buffer.from(letterHead(id) + content), {
      signers: [signer],
      recipients: [estate.gateway.certificate],
      outerHeaders: [
        { name: 'From', value: `<${sender}>` },
        { name: 'Message-ID', value: messageId },
      ],
      at: Date.now(),
    })
    if (sealed.kind === 'refused') throw new Error(sealed.reason)
    return { messageId, wire: Buffer.from(sealed.wire), acknowledged: false, tries: 0 }
  }
}

/** A sender that is patient, and less than RFC 5321 §4.5.3.2.6 lets it be: what takes longer is a defect. */
const answerMs = 60_000
const silent = '000 no answer'

/** What the senders have: letters on their way again and again until somebody takes them. */
export interface Outbox {
  readonly all: Letter[]
  readonly waiting: Letter[]
}

export const newOutbox = (): Outbox => ({ all: [], waiting: [] })

/**
 * Sends until `next` gives nothing more or the other side is gone; what was not acknowledged waits again. Answers the
 * last reply that was no 250.
 */
export async function sendAll(
  port: number,
  outbox: Outbox,
  next: () => Letter | undefined,
): Promise<string | undefined> {
  const session: MailSession = await openMail(port)
  try {
    for (let letter = next(); letter; letter = next()) {
      letter.tries++
      const reply = await Promise.race([
        session.send(sender, [patient], letter.wire),
        sleep(answerMs, silent, { ref: false }),
      ])
      if (reply.startsWith('250')) letter.acknowledged = true
      else {
        outbox.waiting.push(letter)
        return reply
      }
    }
    return undefined
  } finally {
    session.close()
  }
}

/** The Message-IDs in the patient's mailbox, as often as they stand there. */
export async function mailbox(gateway: Pick<Serving, 'url'>, token: string): Promise<string[]> {
  const found: string[] = []
  for (let cursor = ''; ; ) {
    const answer = await ask(gateway.url, token, `/api/v1/mailboxes/${patient}/messages?limit=100${cursor}`)
    if (answer.status === 429) {
      await sleep(1_000)
      continue
    }
    const page = answer.json<{ messages: { messageId: string }[]; next?: string }>()
    found.push(...page.messages.map(({ messageId }) => messageId))
    if (page.next === undefined) return found
    cursor = `&cursor=${encodeURIComponent(page.next)}`
  }
}

export interface Notice {
  readonly about: string
  readonly disposition: string
  /** Of the notice itself. */
  readonly messageId: string
}

/** Opens what came to the far side with the sender's key. */
export function readNotice({ estate }: Ground, { wire }: ReceivedMail): Notice {
  const key = ready({ ...estate.provider, fingerprint: 'provider' })
  const opened = openMessage(wire, [key])
  const text = opened.kind === 'opened' ? Buffer.from(opened.entity).toString('latin1') : ''
  const field = (name: string, of: string) => new RegExp(`^${name}: *(.*?)\\r?$`, 'im').exec(of)?.[1] ?? '(none)'
  return {
    about: field('Original-Message-ID', text),
    disposition: field('Disposition', text),
    messageId: field('Message-ID', wire.toString('latin1')),
  }
}

/** What stands more than once, and how often too often. */
export function surplus(names: readonly string[]): number {
  return names.length - new Set(names).size
}

export interface Account {
  readonly acknowledged: number
  readonly lost: number
  readonly duplicated: number
  readonly trouble: readonly string[]
  /** Notices that the far side had already, sent again with the same Message-ID. */
  readonly noticesAgain: number
}

/**
 * Lets the senders finish with a gateway that stays, waits until it is done, stops it, and compares: every letter in the
 * mailbox once, told of by one `processed` notice, the audit log whole. `heard` is how many notices came before all this.
 */
export async function settleAccounts(
  ground: Ground,
  outbox: Outbox,
  options: { readonly heard: number; readonly program?: string; readonly patienceMs?: number },
): Promise<Account> {
  const { program, patienceMs = 20_000 } = options
  const trouble: string[] = []
  const before = outbox.all.filter(({ acknowledged }) => acknowledged)
  const gateway = await ground.serve(program === undefined ? {} : { program })
  for (let tries = 0; outbox.waiting.length > 0 && tries < 20; tries++)
    await sendAll(gateway.smtpPort, outbox, () => outbox.waiting.shift())
  if (outbox.waiting.length > 0) trouble.push(`${outbox.waiting.length} letters were not accepted in the end`)
  const owed = outbox.all.filter(({ acknowledged }) => acknowledged).map(({ messageId }) => messageId)
  let there: string[] = []
  await until(async () => {
    there = await mailbox(gateway, ground.token)
    const present = new Set(there)
    if (owed.every((id) => present.has(id))) return true
    await sleep(500) // a mailbox of a thousand letters is ten requests, and a token may make only so many
    return undefined
  }, patienceMs).catch(() => undefined)
  const notices = () => ground.mail.received.slice(options.heard)
  const delivered = new Set(there)
  const told = new Map<string, Set<string>>()
  let seen = 0
  await until(() => {
    for (const received of notices().slice(seen)) {
      const { about, disposition, messageId } = readNotice(ground, received)
      if (!/;\s*processed$/.test(disposition)) trouble.push(`a notice says ${disposition}`)
      told.set(about, (told.get(about) ?? new Set()).add(messageId))
      seen++
    }
    return [...delivered].every((id) => told.has(id)) ? true : undefined
  }, patienceMs).catch(() => undefined)
  const silent = [...delivered].filter((id) => !told.has(id))
  if (silent.length > 0) trouble.push(`${silent.length} delivered letters were not told of`)
  const twice = [...told].filter(([, ids]) => ids.size > 1)
  if (twice.length > 0) trouble.push(`${twice.length} letters were told of by more than one notice`)
  const missing = owed.filter((id) => !delivered.has(id))
  if (missing.length > 0) {
    const queue = await command(ground.folder, program, 'queue', 'list', '--config', 'gateway.yaml').catch(String)
    trouble.push(
      `${missing.length} letters are not in the mailbox; the queue: ${queue.replace(/\s+/g, ' ').slice(0, 300)}`,
    )
  }
  const { code } = await gateway.stop()
  if (code !== 0) trouble.push(`the last stop ended with ${code}`)
  const chain = await command(ground.folder, program, 'audit', 'verify', '--config', 'gateway.yaml').catch(String)
  if (!/^Intact/.test(chain)) trouble.push(chain.slice(0, 200))
  return {
    acknowledged: owed.length,
    lost: before.filter(({ messageId }) => !delivered.has(messageId)).length,
    duplicated: surplus(there),
    trouble,
    noticesAgain: seen - [...told.values()].reduce((sum, ids) => sum + ids.size, 0),
  }
}
