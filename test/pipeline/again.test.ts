import { describe, expect, it } from 'vitest'
import {
  accept,
  alice,
  bob,
  clinicAuthority,
  domain,
  done,
  type Gateway,
  messagesOf,
  newGateway,
  outboundOf,
  refusalsOf,
  seal,
  storyOf,
  work,
} from '../fixtures/gateway.js'

async function judgeAgain(gateway: Gateway, id: string): Promise<boolean> {
  const parts = await gateway.quarantine.judgeAgain(id)
  return parts !== undefined && (await gateway.store.commit(parts)).kind === 'committed'
}

const trust = (gateway: Gateway, owner: string = domain) =>
  done(gateway.directory.anchors.add({ owner, certificate: clinicAuthority.certificate, direction: 'both' }, 'test'))

describe('a message judged again', () => {
  it('is delivered once with one notice when its sender has become trusted, and the trail tells the whole story', async () => {
    const { gateway, pass } = await newGateway({}, { anchorFor: [] })
    const id = await accept(gateway, seal())
    await work(gateway)
    expect(await refusalsOf(gateway, id)).toEqual({ [alice]: 'no-anchor' })
    expect(await outboundOf(gateway)).toEqual([])
    await trust(gateway)
    pass(1000)
    expect(await judgeAgain(gateway, id)).toBe(true)
    pass(1000)
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect(await outboundOf(gateway)).toHaveLength(1)
    expect(await gateway.quarantine.get(id)).toBeUndefined()
    expect(await storyOf(gateway, id)).toEqual([
      ...['accepted', 'opened', 'verified', `refused ${alice}`],
      'judged-again',
      ...['opened', 'verified', `trusted ${alice}`, `delivered ${alice}`, `notice-owed ${alice}`],
    ])
  })

  it('goes back into quarantine where nothing has changed', async () => {
    const { gateway } = await newGateway({}, { anchorFor: [] })
    const id = await accept(gateway, seal())
    await work(gateway)
    await judgeAgain(gateway, id)
    expect(await gateway.quarantine.get(id)).toBeUndefined()
    await work(gateway)
    expect(await gateway.quarantine.get(id)).toMatchObject({
      judgedAgain: 1,
      refused: [{ recipient: alice, reason: 'no-anchor' }],
    })
  })

  it('twice at once, and again after its end, does no harm', async () => {
    const { gateway } = await newGateway({}, { anchorFor: [] })
    const id = await accept(gateway, seal())
    await work(gateway)
    await trust(gateway)
    const both = await Promise.all([judgeAgain(gateway, id), judgeAgain(gateway, id)])
    expect(both.sort()).toEqual([false, true])
    await work(gateway)
    expect(await judgeAgain(gateway, id)).toBe(false)
    expect(await work(gateway)).toBe(0)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect(await outboundOf(gateway)).toHaveLength(1)
  })

  it('is judged for the refused recipients only', async () => {
    const { gateway, pass } = await newGateway({}, { anchorFor: [alice] })
    const id = await accept(gateway, seal({ to: [alice, bob] }), [alice, bob])
    await work(gateway)
    await trust(gateway, bob)
    pass(1)
    await judgeAgain(gateway, id)
    await work(gateway)
    expect([await messagesOf(gateway, alice), await messagesOf(gateway, bob)].map(({ length }) => length)).toEqual([
      1, 1,
    ])
    expect((await outboundOf(gateway)).length).toBe(2)
    expect((await storyOf(gateway, id)).filter((step) => step.endsWith(alice))).toEqual([
      `trusted ${alice}`,
      `delivered ${alice}`,
      `notice-owed ${alice}`,
    ])
  })

  it('and sent again by its sender meanwhile, is one message and one notice', async () => {
    const { gateway } = await newGateway({}, { anchorFor: [] })
    const wire = seal()
    const id = await accept(gateway, wire)
    await work(gateway)
    await trust(gateway)
    expect(await accept(gateway, wire)).toBe(id) // the same bytes: known, whatever became of them
    await accept(gateway, seal()) // encrypted anew: judged on its own
    await judgeAgain(gateway, id)
    await work(gateway)
    expect(await messagesOf(gateway, alice)).toHaveLength(1)
    expect(await outboundOf(gateway)).toHaveLength(1)
    expect(await gateway.quarantine.get(id)).toBeUndefined()
  })
})
