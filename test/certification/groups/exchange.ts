import { setTimeout as sleep } from 'node:timers/promises'
import { openMail } from '../../../src/demo/mail.js'
import type { Measure } from '../finding.js'
import { deadlineSeconds, type Gateway } from '../world/gateway.js'
import { type Notice, readNotice } from '../world/notice.js'
import { atMost, type OpenSsl } from '../world/openssl.js'
import type { Authority } from '../world/pki.js'
import type { Caught, Sink } from '../world/sink.js'
import type { Letter } from './letters.js'

/** Letters go to the gateway, and what comes of them is read: by its API, at the sink, and in its quarantine. */
/** What was seen of one letter. */
export interface Outcome {
  readonly reply: string
  readonly notices: readonly Notice[]
  readonly delivered: number
  /** Why it was refused, where it is in quarantine. */
  readonly reasons: string
  readonly faults: readonly string[]
}

/** Sends every letter and answers what came of each, once nothing more can come. */
export async function exchanged(
  { tell, quietMs }: Measure,
  letters: readonly Letter[],
  gateway: Gateway,
  sink: Sink,
  far: { readonly openssl: OpenSsl; readonly authority: Authority },
): Promise<ReadonlyMap<Letter, Outcome>> {
  tell(`${letters.length} letters are sent`)
  const replies = new Map<Letter, string>()
  for (const letter of letters) {
    const session = await openMail(gateway.smtpPort)
    replies.set(letter, await session.send(letter.from, [letter.to], letter.wire))
    session.close()
  }
  const noticesTo = ({ from }: Letter) => sink.caught.filter(({ to }) => to.some((one) => same(one, from)))
  const owed = { processed: 1, dispatched: 2, nothing: 0 }
  const missing = () => letters.filter((letter) => noticesTo(letter).length < owed[letter.expect])
  const deadline = Date.now() + 30_000
  while (missing().length > 0 && Date.now() < deadline) await sleep(100)
  await settled(gateway)
  tell('it is quiet')
  await sleep(quietMs)

  const refused = await refusedBy(gateway)
  const kept = new Map<string, Awaited<ReturnType<Gateway['messages']>>>()
  for (const to of new Set(letters.map(({ to: address }) => address.toLowerCase())))
    kept.set(to, await gateway.messages(to))
  const several = atMost(3)
  return new Map(
    await Promise.all(
      letters.map(async (letter): Promise<[Letter, Outcome]> => {
        const reply = replies.get(letter) ?? ''
        const notices = await Promise.all(
          noticesTo(letter).map((caught) => several(() => readAnswer(letter, caught, far))),
        )
        const here = (kept.get(letter.to.toLowerCase()) ?? []).filter(({ messageId }) => messageId === letter.messageId)
        const faults: string[] = []
        for (const { id, attachments } of here) {
          const address = letter.to.toLowerCase()
          const original = await gateway.original(address, id)
          if (!original.equals(letter.original)) faults.push('what was delivered is not what was written')
          const bytes = await Promise.all(attachments.map(({ index }) => gateway.attachment(address, id, index)))
          for (const [n, sent] of letter.attachments.entries())
            if (!bytes.some((got) => got.equals(sent))) faults.push(`attachment ${n} did not arrive byte for byte`)
        }
        const reasons = refused.get(/^250 2\.0\.0 (\S+)/.exec(reply)?.[1] ?? '') ?? ''
        return [letter, { reply, notices, delivered: here.length, reasons, faults }]
      }),
    ),
  )
}

function readAnswer(
  { reader, to }: Letter,
  caught: Caught,
  { openssl, authority }: { readonly openssl: OpenSsl; readonly authority: Authority },
): Promise<Notice> {
  return readNotice(openssl, caught, reader, authority.certificatePath, to)
}

/** Waits until every message that was accepted is judged: what waits for a verdict has a deadline. */
async function settled(gateway: Gateway): Promise<void> {
  const end = Date.now() + (deadlineSeconds + 10) * 1000
  while (Date.now() < end) {
    const waiting = JSON.parse(await gateway.command('queue', 'list', '--json')) as readonly {
      readonly queue: string
    }[]
    if (!waiting.some(({ queue }) => /inbound|outbound/.test(queue))) return
    await sleep(500)
  }
}

/** Reasons by spool id. */
async function refusedBy(gateway: Gateway): Promise<ReadonlyMap<string, string>> {
  const rows = JSON.parse(await gateway.command('quarantine', 'list', '--json', '--limit', '1000')) as readonly {
    readonly id: string
    readonly reasons: readonly string[]
  }[]
  return new Map(rows.map(({ id, reasons }) => [id, reasons.join(' ')]))
}

/** An outcome in words. */
export function wordsOf({ reply, notices, delivered, reasons }: Outcome): string {
  const told = notices.map(({ disposition }) => disposition || 'unreadable').sort()
  const refusal = reasons || (reply.startsWith('250') ? '' : reply)
  return [delivered > 0 ? 'delivered' : 'not delivered', ...told, ...(refusal ? [refusal] : [])].join(' + ')
}

/** What does not fit the expectation; none where all does, the negative half included. */
export function faultsOf(letter: Letter, { reply, notices, delivered, reasons, faults }: Outcome): readonly string[] {
  const told = notices
    .map(({ disposition }) => disposition)
    .sort()
    .join(' ')
  const wrong = [...faults, ...notices.flatMap((notice) => notice.faults)]
  if (notices.some(({ originalMessageId }) => originalMessageId !== letter.messageId))
    wrong.push('a notice about another message')
  if (letter.expect === 'nothing') {
    if (delivered > 0) wrong.push('was delivered')
    if (notices.length > 0) wrong.push(`${notices.length} notices`)
    // Silence proves nothing before it was judged.
    if (reply.startsWith('250') && reasons === '') wrong.push('was never refused')
    return wrong
  }
  if (!reply.startsWith('250')) wrong.push(`was refused: ${reply}`)
  if (delivered !== 1) wrong.push(`was delivered ${delivered} times`)
  const wanted = letter.expect === 'processed' ? 'processed' : 'dispatched processed'
  if (told !== wanted) wrong.push(`the notices are ${told || 'none'}, not ${wanted}`)
  return wrong
}

/** Addresses are compared without case. */
export const same = (one: string, other: string) => one.toLowerCase() === other.toLowerCase()
