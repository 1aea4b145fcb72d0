import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sampleTypes } from '../../src/demo/documents.js'
import { judge, type Seen } from '../../src/demo/look.js'
import type { Scene } from '../../src/demo/story.js'
import { ask, newDatabase, start, tell, until } from '../fixtures/process.js'

let scratch: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'dg-demo-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

/** A temporary folder to be found empty afterwards, and the database of this run where it has one. */
async function environment(): Promise<Record<string, string>> {
  const url = await newDatabase()
  return {
    TMPDIR: scratch,
    ...(url && { DIRECT_GATEWAY_STORE_KIND: 'postgres', DIRECT_GATEWAY_STORE_POSTGRES_URL: url }),
  }
}

describe('the demo', () => {
  it('tells its story once, finds all as it must be, and leaves nothing behind', async () => {
    const began = performance.now()
    const { code, out, err } = await start(['demo', '--once'], { cwd: scratch, env: await environment() }).ended
    tell(`demo --once: ${Math.round(performance.now() - began)} ms`)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain('All is as it must be.')
    expect(out).not.toContain('NO ')
    expect(out.split('\n').length).toBeLessThan(80)
    expect(readdirSync(scratch)).toEqual([])
  })

  it('stays up until Ctrl-C, tells how to look around, and then removes everything', async () => {
    const demo = start(['demo'], { cwd: scratch, env: await environment() })
    const [, token = '', address = ''] = await until(
      () => /^ {2}curl -H 'Authorization: Bearer (\S+)' (http\S+)$/m.exec(demo.out()) ?? undefined,
      60_000,
    )
    const { status, json } = await ask(address, token, '')
    expect(status).toBe(200)
    expect(json<{ messages: unknown[] }>().messages).toHaveLength(4)
    expect(existsSync(join(scratch, readdirSync(scratch)[0] ?? '', 'data'))).toBe(true)
    const began = performance.now()
    demo.process.kill('SIGINT')
    const { code, err } = await demo.ended
    const tookMs = performance.now() - began
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(tookMs).toBeLessThan(3_000)
    expect(readdirSync(scratch)).toEqual([])
  })
})

describe('the checks of the demo', () => {
  const scene = (id: string, refusal?: Scene['refusal']): Scene => ({
    title: id,
    subject: `About ${id}`,
    messageId: `<${id}@x.example>`,
    wire: new Uint8Array(),
    ...(refusal && { refusal }),
  })
  const good: Seen = {
    sent: [scene('one'), scene('two'), scene('bad', 'no-anchor')].map((each) => ({
      scene: each,
      reply: '250 2.0.0 abc accepted',
      id: `spool-${each.title}`,
    })),
    messages: ['one', 'two'].map((id) => ({ from: 'a@x.example', subject: `About ${id}`, attachments: [] })),
    items: sampleTypes.map((type) => ({ state: 'proposed', negated: false, content: { type } })),
    notices: ['one', 'two'].map((id) => ({
      about: `<${id}@x.example>`,
      disposition: 'automatic-action/MDN-sent-automatically;processed',
    })),
    refusals: new Map([['spool-bad', { reason: 'no-anchor', detail: '' }]]),
  }
  const failing = (seen: Partial<Seen>) =>
    judge({ ...good, ...seen })
      .filter(({ ok }) => !ok)
      .map(({ what }) => what)
  const [first, second] = good.notices as [Seen['notices'][number], Seen['notices'][number]]
  const [message] = good.messages as [Seen['messages'][number]]

  it('all hold where all is well', () => {
    expect(failing({})).toEqual([])
  })

  const arrived = 'exactly the trusted messages arrived'
  const noticed = 'one processed notice came back for each of them, and no other'
  const refused = 'refused with no-anchor: bad'
  const faults: readonly (readonly [string, Partial<Seen>, string])[] = [
    [
      'a message was not acknowledged',
      { sent: good.sent.map((one, at) => (at === 0 ? { ...one, reply: '451 4.3.0 later', id: '' } : one)) },
      'every message got its 250',
    ],
    ['a message is missing', { messages: [message] }, arrived],
    ['a message came twice', { messages: [message, message] }, arrived],
    ['a refused message arrived', { messages: [...good.messages, { ...message, subject: 'About bad' }] }, arrived],
    ['a type of items is missing', { items: good.items.slice(1) }, 'items of every type in the documents were read'],
    [
      'an item was taken in unasked',
      { items: good.items.map((item, at) => (at === 0 ? { ...item, state: 'current' } : item)) },
      'every item is only proposed',
    ],
    ['a notice is missing', { notices: [first] }, noticed],
    ['a notice came twice', { notices: [first, second, second] }, noticed],
    ['a notice says something else', { notices: [first, { ...second, disposition: 'x/y;displayed' }] }, noticed],
    [
      'the refused message was noticed',
      { notices: [...good.notices, { ...first, about: '<bad@x.example>' }] },
      noticed,
    ],
    [
      'a refusal has another reason',
      { refusals: new Map([['spool-bad', { reason: 'revoked', detail: '' }]]) },
      refused,
    ],
    ['a refusal is missing', { refusals: new Map() }, refused],
  ]
  it.each(faults)('find it where %s', (_, seen, what) => {
    expect(failing(seen)).toEqual([what])
  })

  it('can each fail', () => {
    const found = new Set(faults.flatMap(([, seen]) => failing(seen)))
    expect([...found].sort()).toEqual(
      judge(good)
        .map(({ what }) => what)
        .sort(),
    )
  })
})
