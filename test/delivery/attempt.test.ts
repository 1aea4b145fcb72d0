import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { type AttemptOptions, type AttemptOutcome, openAttempts } from '../../src/delivery/attempt.js'
import type { Mail } from '../../src/delivery/dialogue.js'
import type { DirectAddress } from '../../src/direct/address.js'
import type { ExchangeAnswer } from '../../src/ports/exchange.js'
import { type Behaviour, loopback, type ScriptedPeer, type Step, scriptedPeer, steps } from './scripted.js'

const mail: Mail = {
  from: null,
  to: ['to@peer.example' as DirectAddress],
  wire: Buffer.from('Content-Type: application/pkcs7-mime\r\n\r\n.dot\r\nbody\r\n'),
}
const quick = { connectMs: 500, greetingMs: 300, idleMs: 300, lastReplyMs: 300, attemptMs: 3000 }
const peers: ScriptedPeer[] = []

afterEach(() => {
  for (const peer of peers.splice(0)) peer.close()
})

async function peerThat(...scripts: Partial<Record<Step, Behaviour>>[]): Promise<ScriptedPeer> {
  const peer = await scriptedPeer(...scripts)
  peers.push(peer)
  return peer
}

function attempt(port: number, options: Partial<AttemptOptions> = {}, message: Mail = mail): Promise<AttemptOutcome> {
  return openAttempts({ hostname: 'us.example', exchanges: loopback, port, limits: quick, ...options })(message)
}

test('hands over the bytes as they are, from the null reverse-path, and says what the host said', async () => {
  const peer = await peerThat({ EHLO: '250-peer.example\r\n250-SIZE 1000\r\n250 PIPELINING' })
  expect(await attempt(peer.port)).toEqual({
    kind: 'delivered',
    host: `mx.peer.example[127.0.0.1]:${peer.port}`,
    reply: '250 2.0.0 queued as 1',
  })
  expect(peer.messages).toEqual(['Content-Type: application/pkcs7-mime\r\n\r\n..dot\r\nbody'])
  expect(peer.commands.slice(0, 4)).toEqual([
    'EHLO us.example',
    'MAIL FROM:<> SIZE=52',
    'RCPT TO:<to@peer.example>',
    'DATA',
  ])
})

test('a sender is named, and large mail goes through', async () => {
  const peer = await peerThat({})
  const wire = Buffer.from(`A: b\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(20_000)}`)
  expect(await attempt(peer.port, {}, { ...mail, from: 'me@us.example' as DirectAddress, wire })).toMatchObject({
    kind: 'delivered',
  })
  expect(peer.commands).toContain('MAIL FROM:<me@us.example>')
  expect(`${peer.messages[0]}\r\n`).toBe(wire.toString())
})

describe('each misbehaviour at each step has its outcome', () => {
  const atOnce = { act: 'reset' } as const
  const table: [string, Behaviour, Record<Step, AttemptOutcome['kind']>][] = [
    [
      '4xx',
      '451 4.3.0 later',
      {
        greeting: 'temporary',
        EHLO: 'temporary',
        MAIL: 'temporary',
        RCPT: 'temporary',
        DATA: 'temporary',
        message: 'temporary',
      },
    ],
    [
      '421',
      '421 4.3.2 bye',
      {
        greeting: 'temporary',
        EHLO: 'temporary',
        MAIL: 'temporary',
        RCPT: 'temporary',
        DATA: 'temporary',
        message: 'temporary',
      },
    ],
    // Before MAIL a 5xx is about the host, not the message.
    [
      '5xx',
      '550 5.1.1 no',
      {
        greeting: 'temporary',
        EHLO: 'temporary',
        MAIL: 'permanent',
        RCPT: 'permanent',
        DATA: 'permanent',
        message: 'permanent',
      },
    ],
    [
      'several lines of 5xx',
      '550-5.1.1 no\r\n550 5.1.1 never',
      {
        greeting: 'temporary',
        EHLO: 'temporary',
        MAIL: 'permanent',
        RCPT: 'permanent',
        DATA: 'permanent',
        message: 'permanent',
      },
    ],
    [
      '503',
      '503 5.5.1 what',
      {
        greeting: 'temporary',
        EHLO: 'temporary',
        MAIL: 'temporary',
        RCPT: 'temporary',
        DATA: 'temporary',
        message: 'temporary',
      },
    ],
    [
      'garbage',
      'HTTP/1.1 400 Bad Request',
      {
        greeting: 'temporary',
        EHLO: 'temporary',
        MAIL: 'temporary',
        RCPT: 'temporary',
        DATA: 'temporary',
        message: 'temporary',
      },
    ],
    [
      '5 and garbage',
      '5ahem',
      {
        greeting: 'temporary',
        EHLO: 'temporary',
        MAIL: 'temporary',
        RCPT: 'temporary',
        DATA: 'temporary',
        message: 'temporary',
      },
    ],
    [
      'reset',
      atOnce,
      {
        greeting: 'temporary',
        EHLO: 'temporary',
        MAIL: 'temporary',
        RCPT: 'temporary',
        DATA: 'temporary',
        message: 'temporary',
      },
    ],
    [
      'close',
      { act: 'close' },
      {
        greeting: 'temporary',
        EHLO: 'temporary',
        MAIL: 'temporary',
        RCPT: 'temporary',
        DATA: 'temporary',
        message: 'temporary',
      },
    ],
    [
      'silence',
      { act: 'hang' },
      {
        greeting: 'temporary',
        EHLO: 'temporary',
        MAIL: 'temporary',
        RCPT: 'temporary',
        DATA: 'temporary',
        message: 'temporary',
      },
    ],
  ]
  test.each(table)('%s', async (_, behaviour, outcomes) => {
    const pipelining = '250-peer.example\r\n250 PIPELINING'
    const found = steps.map(async (step) => {
      const peer = await peerThat({ [step]: behaviour })
      const piped = await peerThat({ EHLO: pipelining, [step]: behaviour })
      const kinds = [(await attempt(peer.port)).kind, (await attempt(piped.port)).kind]
      return [step, kinds]
    })
    expect(Object.fromEntries(await Promise.all(found))).toEqual(
      Object.fromEntries(steps.map((step) => [step, [outcomes[step], outcomes[step]]])),
    )
  })

  test('2 and garbage after the message is no delivery', async () => {
    const peer = await peerThat({ message: '2fast' })
    expect(await attempt(peer.port)).toMatchObject({
      kind: 'temporary',
      detail: expect.stringContaining('may have arrived'),
    })
  })

  test('250 and then a reset is a delivery', async () => {
    const peer = await peerThat({ message: { say: '250 ok', next: 'reset' } })
    expect(await attempt(peer.port)).toMatchObject({ kind: 'delivered', reply: '250 ok' })
  })

  test('what a server says is made one short line', async () => {
    const peer = await peerThat({ RCPT: `550-\x1b[31mred\r\n550 ${'x'.repeat(5000)}` })
    const outcome = await attempt(peer.port)
    expect(outcome.kind).toBe('permanent')
    expect(outcome.kind === 'permanent' && outcome.detail).toMatch(/^550- \[31mred 550 x+$/)
    expect(outcome.kind === 'permanent' && outcome.detail.length).toBe(300)
  })

  test('a reply without end, and one that never ends its line, are cut off', async () => {
    for (const greeting of [`220-${'x'.repeat(100)}\r\n`.repeat(5000).trimEnd(), `220 ${'x'.repeat(500_000)}`]) {
      const peer = await peerThat({ greeting })
      const outcome = await attempt(peer.port)
      expect(['temporary', 'delivered']).toContain(outcome.kind)
    }
  })

  test('a message larger than the server takes is refused without being sent', async () => {
    const peer = await peerThat({ EHLO: '250-peer.example\r\n250 SIZE 10' })
    expect(await attempt(peer.port)).toMatchObject({ kind: 'permanent' })
    expect(peer.messages).toEqual([])
  })

  test('no server can make it throw', async () => {
    const replies = fc.constantFrom<Behaviour>(
      '250 ok',
      '354 go',
      '220 x',
      '421 x',
      '550 x',
      '',
      '250-',
      '999 x',
      '\0',
      { act: 'reset' },
      { act: 'close' },
    )
    const scripts = fc.record(Object.fromEntries(steps.map((step) => [step, replies])))
    const property = fc.asyncProperty(scripts, async (script) => {
      const peer = await peerThat(script)
      const outcome = await attempt(peer.port, { limits: { ...quick, greetingMs: 40, idleMs: 40, lastReplyMs: 40 } })
      expect(['delivered', 'temporary', 'permanent']).toContain(outcome.kind)
      if (outcome.kind === 'delivered') expect(peer.messages).toHaveLength(1)
    })
    await fc.assert(property, { numRuns: 100 })
  })
})

describe('which host', () => {
  const nowhere = '127.0.0.1'
  const two = (answer: ExchangeAnswer): Partial<AttemptOptions> => ({
    exchanges: { of: async () => answer, host: async () => answer },
  })

  test('a host that cannot be reached, and one that is busy, make way for the next', async () => {
    const peer = await peerThat({ greeting: '421 busy' }, { RCPT: '450 grey' }, {})
    const hosts = ['a', 'b', 'c'].map((name) => ({ name, addresses: [nowhere] }))
    expect(await attempt(peer.port, two({ kind: 'hosts', hosts }))).toMatchObject({
      kind: 'delivered',
      host: expect.stringMatching(/^c\[/),
    })
    expect(peer.connections()).toBe(3)
  })

  test('no other host is tried after a refusal for good, nor where the message may have arrived', async () => {
    const hosts = ['a', 'b'].map((name) => ({ name, addresses: [nowhere] }))
    for (const script of [{ RCPT: '550 no' }, { message: { act: 'reset' } as const }]) {
      const peer = await peerThat(script, {})
      expect((await attempt(peer.port, two({ kind: 'hosts', hosts }))).kind).not.toBe('delivered')
      expect(peer.connections()).toBe(1)
    }
  })

  test('no more than five addresses are dialled', async () => {
    const peer = await peerThat({ greeting: '421 busy' })
    const hosts = Array.from({ length: 9 }, (_, i) => ({ name: `h${i}`, addresses: [nowhere] }))
    expect((await attempt(peer.port, two({ kind: 'hosts', hosts }))).kind).toBe('temporary')
    expect(peer.connections()).toBe(5)
  })

  test('what name servers say is the outcome where there is no host', async () => {
    expect(await attempt(1, two({ kind: 'permanent', detail: 'null MX' }))).toMatchObject({
      kind: 'permanent',
      detail: 'null MX',
    })
    expect(await attempt(1, two({ kind: 'temporary', detail: 'SERVFAIL' }))).toMatchObject({ kind: 'temporary' })
  })

  test('a route of the domain comes before the default route, and both before exchangers', async () => {
    const asked: string[] = []
    const peer = await peerThat({})
    const options: Partial<AttemptOptions> = {
      exchanges: {
        of: () => Promise.reject(new Error('not asked')),
        host: (name) => {
          asked.push(name)
          return loopback.host(name)
        },
      },
      routes: { 'peer.example': { host: 'one.example', port: peer.port } },
      defaultRoute: { host: 'two.example' },
    }
    await attempt(peer.port, options)
    await attempt(peer.port, options, { ...mail, to: ['a@constructor' as DirectAddress] })
    expect(asked).toEqual(['one.example', 'two.example'])
  })

  test('a route that does not resolve is a trouble of ours, not the end of the mail', async () => {
    const options = { ...two({ kind: 'permanent', detail: 'no address' }), defaultRoute: { host: 'gone.example' } }
    expect(await attempt(1, options)).toMatchObject({ kind: 'temporary' })
  })

  test('a refused connection is temporary', async () => {
    const peer = await peerThat({})
    peer.close()
    expect(await attempt(peer.port)).toMatchObject({
      kind: 'temporary',
      detail: expect.stringContaining('ECONNREFUSED'),
    })
  })
})

test('an attempt ends in time, whatever the server drips', async () => {
  const peer = await peerThat({ MAIL: { act: 'hang' } })
  const started = performance.now()
  const outcome = await attempt(peer.port, { limits: { ...quick, idleMs: 60_000, attemptMs: 400 } })
  expect(outcome).toMatchObject({ kind: 'temporary', detail: expect.stringContaining('time limit') })
  expect(performance.now() - started).toBeLessThan(1500)
})
