import type { RefusalReason } from '../direct/refusal.js'
import type { Acceptance } from './options.js'
import type { WireGuard } from './wire.js'

/** Thrown at whoever reads the message: nothing of it may be kept. */
export class MessageAborted extends Error {
  override readonly name = 'MessageAborted'
}

export type Reception =
  | { readonly kind: 'accepted'; readonly id: string; readonly sizeBytes: number; readonly longestLineBytes: number }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly detail?: string }
  /** The store could not keep it, or whoever should have kept it did not do its part. */
  | { readonly kind: 'failed'; readonly cause: unknown }
  /** The client went away, or was sent away, before the end. */
  | { readonly kind: 'vanished' }

export interface Incoming {
  readonly source: AsyncIterable<Uint8Array>
  readonly guard: WireGuard
  readonly accept: (data: AsyncIterable<Uint8Array>) => Promise<Acceptance>
  /** The last byte has arrived. */
  readonly onEnd: () => void
  /** More is coming although the message was refused already: a chance to cut the client off. */
  readonly onExcess: (sizeBytes: number, reason: RefusalReason) => void
}

/**
 * Hands one message to `accept`, each chunk only after the guard passed it, at the pace at which it is read. The end is
 * told only when the guard passed the whole; otherwise the reader gets MessageAborted. A message is accepted only if
 * `accept` said so *and* had read to the end, so that an answer given too early cannot become a 250.
 */
export async function receiveMessage(incoming: Incoming): Promise<Reception> {
  const { guard } = incoming
  const source = incoming.source[Symbol.asyncIterator]()
  let refusal: RefusalReason | undefined
  let complete = false
  let vanished = false
  let ended = false
  let answered = false

  async function next(): Promise<Uint8Array | undefined> {
    try {
      const step = await source.next()
      if (!step.done) return step.value
      ended = true
      incoming.onEnd()
      return undefined
    } catch {
      ended = true
      vanished = true
      return undefined
    }
  }

  async function* guarded(): AsyncGenerator<Uint8Array> {
    while (refusal === undefined && !ended) {
      const chunk = await next()
      if (vanished) throw new MessageAborted('The client went away before the end of the message')
      if (answered) throw new MessageAborted('The message was answered already')
      refusal = chunk === undefined ? guard.end() : guard.take(chunk)
      if (refusal !== undefined) throw new MessageAborted(`The message was refused: ${refusal}`)
      if (chunk === undefined) {
        complete = true
        return
      }
      yield chunk
    }
  }

  let answer: Acceptance | { readonly kind: 'threw'; readonly cause: unknown }
  try {
    answer = await incoming.accept(guarded())
  } catch (cause) {
    answer = { kind: 'threw', cause }
  }
  answered = true
  const readToTheEnd = complete

  // The reply comes after the client's last byte, so what nobody read is read now and thrown away.
  let excessBytes = guard.sizeBytes()
  while (!ended) {
    const chunk = await next()
    excessBytes += chunk?.length ?? 0
    incoming.onExcess(excessBytes, refusal ?? 'store-unavailable')
  }
  if (vanished) return { kind: 'vanished' }
  if (refusal !== undefined) return { kind: 'refused', reason: refusal }
  if (answer.kind === 'refused') return answer
  if (answer.kind === 'threw') return { kind: 'failed', cause: answer.cause }
  if (!readToTheEnd) return { kind: 'failed', cause: new Error('accept() answered before it had read the message') }
  return { kind: 'accepted', id: answer.id, sizeBytes: guard.sizeBytes(), longestLineBytes: guard.longestLineBytes() }
}
