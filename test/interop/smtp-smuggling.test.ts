import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Fixture, header, listening, peer, sleep } from '../smtp/peer.js'

/** End-of-data look-alikes that some server has taken for the real one, and what we must say to a message with one. */
const lookAlikes: Record<string, RegExp> = Object.fromEntries(
  [
    '\n.\n',
    '\n.\r',
    '\n.\r\n',
    '\r.\n',
    '\r.\r',
    '\r.\r\n',
    '\r\n.\n',
    '\r\n.\r',
    '\r\n.\r\r\n',
    '\r\r\n.\r\r\n',
    '\r\r\n.\r\n',
    '\n\n.\r\n',
    '\n.\n\r\n',
    '\r\n\0.\r\n',
    '\r\n\0.\r',
    '\r\n\0.\n',
    '\r\n.\0\r\n',
    '\r\n.\r\0\n',
    '\r\0\n.\r\n',
  ]
    .map((sequence) => [sequence, /^550 5\.6\.0/] as const)
    .concat([
      // These are plain text by RFC 5321 §4.5.2: one message, nothing smuggled.
      ['\r\n..\r\n', /^250 /],
      ['\r\n.x\r\n', /^250 /],
      ['\r\n .\r\n', /^250 /],
      ['\r\n\x85.\x85\r\n', /^250 /],
    ]),
)
const smuggled = 'MAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@served.example>\r\nDATA\r\n'

let fixture: Fixture

beforeAll(async () => {
  fixture = await listening()
})
afterAll(() => fixture.listener.close(0))

/** Sends the pieces as one message, each read by itself; what was answered, and from whom mail was kept. */
async function deliver(pieces: readonly string[]): Promise<{ reply: string; senders: (string | null)[] }> {
  const client = await peer(fixture.listener.port)
  const recipient = `r${Math.random().toString(36).slice(2)}@served.example`
  await client.toData(recipient)
  for (const piece of pieces) {
    client.write(piece.replaceAll('victim@served.example', recipient))
    await sleep(2)
  }
  const reply = await client.reply()
  await sleep(50) // time for whatever was smuggled
  client.socket.destroy()
  const senders = fixture.kept.filter(({ envelope }) => envelope.rcptTo[0] === recipient)
  return { reply, senders: senders.map(({ envelope }) => envelope.mailFrom) }
}

describe.each(Object.entries(lookAlikes))('%j', (sequence, answer) => {
  const before = `${header}body`
  const after = `${smuggled}${header}two\r\n.\r\n`
  const text = `${before}${sequence}${after}`

  test('is no end of data: in one piece, cut at any byte, byte by byte', async () => {
    const cuts = Array.from({ length: sequence.length + 2 }, (_, at) => before.length + at)
    const ways = cuts.map((at) => [text.slice(0, at), text.slice(at)])
    for (const { reply, senders } of await Promise.all([...ways, [...`${before}${sequence}`, after]].map(deliver))) {
      expect(reply).toMatch(answer)
      expect(senders).toEqual(reply.startsWith('250') ? ['from@peer.example'] : [])
    }
  })

  test('is no end of data as the first line', async () => {
    const ways = [
      [sequence + after],
      [...sequence, after],
      ...[...sequence].map((_, at) => [sequence.slice(0, at), sequence.slice(at) + after]),
    ]
    for (const { senders } of await Promise.all(ways.map(deliver))) expect(senders).toEqual([])
  })
})

test('the check sees a message that truly is two', async () => {
  const { reply, senders } = await deliver([`${header}one\r\n.\r\n${smuggled}`, `${header}two\r\n.\r\n`])
  expect(reply).toMatch(/^250/)
  expect(senders).toEqual(['from@peer.example', 'evil@x.example'])
})
