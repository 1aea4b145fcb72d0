import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { gather } from '../../src/ports/body.js'
import {
  accept,
  alice,
  doctor,
  doctorKey,
  type Gateway,
  gatewayKey,
  messagesOf,
  newGateway,
  refusalsOf,
  seal,
  sealByHand,
  work,
  write,
} from '../fixtures/gateway.js'
import { envelopedCms, multipart, signedData, signerInfo } from '../smime/craft.js'
import { envelopeOf, ready } from '../smime/identities.js'

/** A generator that gives the same numbers in every run (mulberry32), so that what fails can be looked at. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

type Below = (below: number) => number

/** One to three hurts: flipped bits, cuts, doubled or moved pieces. */
function hurt(bytes: Uint8Array, below: Below): Buffer {
  let hurt = Buffer.from(bytes)
  for (let times = 1 + below(3); times > 0; times--) {
    const at = below(hurt.length || 1)
    const end = Math.min(hurt.length, at + 1 + below(64))
    switch (below(5)) {
      case 0:
      case 1:
        if (hurt.length > 0) hurt[at] = (hurt[at] ?? 0) ^ (1 << below(8))
        break
      case 2:
        hurt = hurt.subarray(0, at)
        break
      case 3:
        hurt = Buffer.concat([hurt.subarray(0, end), hurt.subarray(at)])
        break
      default:
        hurt = Buffer.concat([hurt.subarray(0, at), hurt.subarray(end)])
    }
  }
  return hurt
}

async function originalOf(gateway: Gateway, id: string): Promise<string> {
  const { mailbox = '' } = (await gateway.directory.addresses.get(alice)) ?? {}
  return Buffer.from(await gather((await gateway.mailbox.original(mailbox, id)) ?? [])).toString('latin1')
}

/** Sends it through the whole pipeline; answers the reason of its refusal, or what was delivered. */
async function endOf(
  gateway: Gateway,
  wire: Uint8Array,
): Promise<{ readonly refused: string } | { readonly delivered: string } | 'duplicate'> {
  const before = new Set((await messagesOf(gateway, alice)).map(({ id }) => id))
  const id = await accept(gateway, wire)
  await work(gateway)
  expect(await gateway.store.jobs('inbound', 1)).toEqual([])
  const refusal = (await refusalsOf(gateway, id))[alice]
  if (refusal !== undefined) return { refused: refusal }
  const message = (await messagesOf(gateway, alice)).find((one) => !before.has(one.id))
  return message ? { delivered: await originalOf(gateway, message.id) } : 'duplicate'
}

const content = `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello.\r\n--b\r\nContent-Type: text/xml; name=a.xml\r\n\r\n<?xml version="1.0"?><a/>\r\n--b--\r\n`
const message = write({ content })

describe('a message that was damaged', () => {
  it('on the wire, anywhere, ends delivered as it was signed or in quarantine with a name', async () => {
    const below = numbers(1)
    const { gateway } = await newGateway()
    const wire = seal({ message })
    const reasons = new Map<string, number>()
    for (let run = 0; run < 500; run++) {
      const end = await endOf(gateway, hurt(wire, below))
      if (end === 'duplicate') continue
      if ('delivered' in end) expect(end.delivered).toBe(message)
      else reasons.set(end.refused, (reasons.get(end.refused) ?? 0) + 1)
    }
    // The damage reaches every layer; were it all caught by the first one, this would prove nothing.
    expect([...reasons.keys()]).toEqual(expect.arrayContaining(['not-encrypted', 'malformed-cms', 'decrypt-failed']))
  }, 30_000)

  it('before it was encrypted is delivered only where the signed bytes are whole', async () => {
    const below = numbers(2)
    const { gateway } = await newGateway()
    const entity = Buffer.from(`Content-Type: message/rfc822\r\n\r\n${message}`)
    const info = signerInfo(entity, ready(doctorKey))
    const signed = multipart(entity, signedData([info], [doctorKey.certificate]))
    const ends = { delivered: 0, refused: 0 }
    for (let run = 0; run < 500; run++) {
      const end = await endOf(gateway, envelopeOf(envelopedCms(hurt(signed, below), [gatewayKey])))
      if (end === 'duplicate') continue
      if ('delivered' in end) expect(end.delivered).toBe(message)
      ends['delivered' in end ? 'delivered' : 'refused']++
    }
    expect(ends.refused).toBeGreaterThan(100)
  }, 30_000)

  it('after it was opened is seen by this test (seeded bug)', async () => {
    const { gateway } = await newGateway({
      steps: (real) => ({
        ...real,
        async open(...task) {
          const opened = await real.open(...task)
          if (opened.kind !== 'opened') return opened
          return {
            ...opened,
            message: Buffer.from(Buffer.from(opened.message).toString('latin1').replace('Hello', 'Jello')),
          }
        },
      }),
    })
    const end = await endOf(gateway, seal({ message }))
    expect(end).toHaveProperty('delivered')
    expect(end).not.toEqual({ delivered: message })
  })

  it('by a trusted signer himself is delivered exactly as he signed it, or refused by name', async () => {
    const below = numbers(3)
    const { gateway } = await newGateway()
    const ends = { delivered: 0, refused: 0 }
    for (let run = 0; run < 500; run++) {
      const entity = hurt(Buffer.from(`Content-Type: message/rfc822\r\n\r\n${write({ content, id: `${run}` })}`), below)
      const outer = `From: <${doctor}>\r\nTo: <${alice as DirectAddress}>\r\n`
      const end = await endOf(gateway, sealByHand(entity, { outer }))
      if (end === 'duplicate') continue
      if ('delivered' in end)
        expect(
          entity.toString('latin1').endsWith(end.delivered) || end.delivered.endsWith(entity.toString('latin1')),
        ).toBe(true)
      ends['delivered' in end ? 'delivered' : 'refused']++
    }
    expect(ends.delivered).toBeGreaterThan(30)
    expect(ends.refused).toBeGreaterThan(30)
  }, 30_000)
})
