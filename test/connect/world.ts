import { createHmac } from 'node:crypto'
import { newCode } from '../../src/connect/code.js'
import type { RequestOptions } from '../../src/connect/ledger.js'
import { connectLimits } from '../../src/connect/limits.js'
import type { NewRequest, PickupFrom } from '../../src/connect/request.js'
import { openRequests } from '../../src/connect/requests.js'
import type { SlowHash } from '../../src/ports/slow-hash.js'
import type { CallHook } from '../../src/store/memory.js'
import { openRoom } from '../spool/room.js'

/** As slow as a test can bear: its order is what matters, and how often it was asked. */
export function quickHash(): SlowHash & { asked: number } {
  const of = (text: string) => createHmac('sha256', 'test').update(text).digest('hex')
  const quick = {
    asked: 0,
    cost: 'm=1,t=1,p=1',
    hash: async (text: string) => of(text),
    async verify(hash: string | undefined, text: string) {
      quick.asked++
      await new Promise((resolve) => setImmediate(resolve))
      return hash === of(text)
    },
    derive: async (text: string) => Buffer.from(of(text), 'hex'),
  }
  return quick
}

export const day = 86_400_000
export const from: PickupFrom = { network: '192.0.2.1', holder: 'session:1', by: 'person:1' }
export const request: NewRequest = {
  kind: 'connect',
  owner: 'clinic-1',
  friendlyName: 'Anna at the Elm Street clinic',
  question: 'Which bird did you have?',
  answer: 'Parakeet Joe',
  externalId: 'MRN 1',
}

export async function openWorld(
  hooks: { readonly beforeCall?: CallHook; readonly afterCall?: CallHook } = {},
  options: Partial<RequestOptions> = {},
) {
  const room = await openRoom(hooks)
  const slowHash = quickHash()
  const ports = { ...room, slowHash, indexKey: Buffer.alloc(32, 7) }
  const requests = openRequests(ports, options)
  async function made(more: Partial<NewRequest> = {}) {
    const outcome = await requests.create({ ...request, ...more })
    if (outcome.kind !== 'created') throw new Error(outcome.problem)
    const commit = await room.store.commit(outcome.parts)
    if (commit.kind !== 'committed') throw new Error(commit.kind)
    return outcome
  }
  /** The right answer, redeemed. */
  async function answered(code: string, answer = 'parakeet joe') {
    const right = await requests.answer(code, answer, from)
    if (right.kind !== 'right') throw new Error(right.kind)
    const held = await requests.redeem(right.ticket, from.holder)
    if (!held) throw new Error('not redeemed')
    return { ticket: right.ticket, held }
  }
  async function done(parts: { readonly parts: Parameters<typeof room.store.commit>[0] } | { readonly kind: string }) {
    if (!('parts' in parts)) throw new Error(parts.kind)
    return (await room.store.commit(parts.parts)).kind
  }
  return {
    ...room,
    ...ports,
    requests,
    made,
    answered,
    done,
    newCode: () => newCode(room.random),
    limits: connectLimits,
  }
}
