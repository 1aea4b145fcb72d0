import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { header, listening, type Peer, peer, sleep } from '../smtp/peer.js'
import { anna, far, submitting } from '../smtp/submitting.js'

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

/** A listener under attack: a session that may send, where mail is smuggled to, and what was kept for whom. */
interface Target {
  readonly sender: string
  /** What a message of this sender must begin with. */
  head(sender: string): string
  readonly domain: string
  enter(): Promise<Peer>
  kept(): readonly { readonly sender: string | null; readonly recipient: string | undefined }[]
  close(): Promise<void>
}

async function gatewayTarget(): Promise<Target> {
  const { listener, kept } = await listening()
  return {
    sender: 'from@peer.example',
    head: () => header,
    domain: 'served.example',
    async enter() {
      const client = await peer(listener.port)
      await client.say('EHLO peer.example')
      return client
    },
    kept: () => kept.map(({ envelope: { mailFrom, rcptTo } }) => ({ sender: mailFrom, recipient: rcptTo[0] })),
    close: () => listener.close(0),
  }
}

async function submissionTarget(): Promise<Target> {
  const here = await submitting()
  return {
    sender: anna,
    head: (sender) => `From: ${sender}\r\nTo: ${far}\r\n\r\n`,
    domain: 'far.example',
    enter: here.known,
    kept: () => here.taken.map(({ mailFrom, recipients }) => ({ sender: mailFrom, recipient: recipients[0] })),
    close: () => here.listener.close(0),
  }
}

describe.each([
  ['the gateway', gatewayTarget, 'evil@x.example'],
  ['submission', submissionTarget, 'ben@clinic.example'],
])('mail to %s', (_, open, evil) => {
  let target: Target
  const smuggled = `MAIL FROM:<${evil}>\r\nRCPT TO:<victim>\r\nDATA\r\n`

  beforeAll(async () => {
    target = await open()
  })
  afterAll(() => target.close())

  /** Sends the pieces as one message, each read by itself; what was answered, and from whom mail was kept. */
  async function deliver(pieces: readonly string[]): Promise<{ reply: string; senders: (string | null)[] }> {
    const client = await target.enter()
    const recipient = `r${Math.random().toString(36).slice(2)}@${target.domain}`
    for (const line of [`MAIL FROM:<${target.sender}>`, `RCPT TO:<${recipient}>`, 'DATA'])
      if (!/^[23]/.test(await client.say(line))) throw new Error(line)
    for (const piece of pieces) {
      client.write(piece.replaceAll('victim', recipient))
      await sleep(2)
    }
    const reply = await client.reply()
    await sleep(50) // time for whatever was smuggled
    client.socket.destroy()
    const found = target.kept().filter((one) => one.recipient === recipient)
    return { reply, senders: found.map(({ sender }) => sender) }
  }

  describe.each(Object.entries(lookAlikes))('%j', (sequence, answer) => {
    const ended = () => {
      const before = `${target.head(target.sender)}body`
      return { before, after: `${smuggled}${target.head(evil)}two\r\n.\r\n` }
    }

    test('is no end of data: in one piece, cut at any byte, byte by byte', async () => {
      const { before, after } = ended()
      const text = `${before}${sequence}${after}`
      const cuts = Array.from({ length: sequence.length + 2 }, (_, at) => before.length + at)
      const ways = cuts.map((at) => [text.slice(0, at), text.slice(at)])
      for (const { reply, senders } of await Promise.all([...ways, [...`${before}${sequence}`, after]].map(deliver))) {
        expect(reply).toMatch(answer)
        expect(senders).toEqual(reply.startsWith('250') ? [target.sender] : [])
      }
    })

    test('is no end of data as the first line', async () => {
      const { after } = ended()
      const ways = [
        [sequence + after],
        [...sequence, after],
        ...[...sequence].map((_, at) => [sequence.slice(0, at), sequence.slice(at) + after]),
      ]
      for (const { senders } of await Promise.all(ways.map(deliver))) expect(senders).toEqual([])
    })
  })

  test('the check sees a message that truly is two', async () => {
    const { reply, senders } = await deliver([
      `${target.head(target.sender)}one\r\n.\r\n${smuggled}`,
      `${target.head(evil)}two\r\n.\r\n`,
    ])
    expect(reply).toMatch(/^250/)
    expect(senders).toEqual([target.sender, evil])
  })
})
