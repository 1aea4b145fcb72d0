import { afterEach, describe, expect, test } from 'vitest'
import type { Acceptance } from '../../src/smtp/options.js'
import { type Fixture, header, listening, type Peer, peer, rudePeer, sleep, until } from './peer.js'

let fixture: Fixture

async function start(...options: Parameters<typeof listening>): Promise<Peer> {
  fixture = await listening(...options)
  return peer(fixture.listener.port)
}

afterEach(() => fixture?.listener.close(0))

describe('the dialogue', () => {
  test('keeps a message and answers 250 with its id', async () => {
    const client = await start()
    await client.toData('To@Served.Example')
    client.write(`${header}..dot\r\nbody\r\n.\r\n`)
    expect(await client.reply()).toBe('250 2.0.0 id-1 accepted')
    expect(fixture.kept[0]?.text).toBe(`${header}.dot\r\nbody\r\n`)
    expect(fixture.kept[0]?.envelope).toMatchObject({
      mailFrom: 'from@peer.example',
      rcptTo: ['to@served.example'],
      peer: { address: '127.0.0.1', helo: 'peer.example', tls: false },
    })
  })

  test('keeps a message that comes byte by byte, as it came', async () => {
    const client = await start()
    await client.toData()
    for (const byte of `${header}..\r\nbody\r\n.\r\n`) {
      client.write(byte)
      await new Promise(setImmediate)
    }
    expect(await client.reply()).toMatch(/^250 /)
    expect(fixture.kept[0]?.text).toBe(`${header}.\r\nbody\r\n`)
  })

  test('understands pipelined commands, several messages, RSET and a null reverse-path', async () => {
    const client = await start()
    client.write('EHLO p\r\nMAIL FROM:<>\r\nRCPT TO:<a@served.example>\r\nRCPT TO:<A@SERVED.example>\r\nDATA\r\n')
    expect(await client.reply()).toContain('PIPELINING')
    const answers = [await client.reply(), await client.reply(), await client.reply(), await client.reply()]
    expect(answers.map((line) => line.slice(0, 9))).toEqual(['250 2.1.0', '250 2.1.5', '250 2.1.5', '354 End d'])
    client.write(`${header}\r\n.\r\nMAIL FROM:<x@y.example>\r\nRCPT TO:<b@served.example>\r\nRSET\r\n`)
    expect(await client.reply()).toMatch(/^250 2.0.0 id-1/)
    for (let i = 0; i < 3; i++) expect(await client.reply()).toMatch(/^250 2/)
    expect(await client.say('DATA')).toMatch(/^503 5.5.1/)
    await client.toData('c@served.example')
    client.write(`${header}.\r\n`)
    expect(await client.reply()).toMatch(/^250 2.0.0 id-2/)
    expect(fixture.kept.map(({ envelope }) => [envelope.mailFrom, envelope.rcptTo])).toEqual([
      [null, ['a@served.example']],
      ['from@peer.example', ['c@served.example']],
    ])
    expect(await client.say('QUIT')).toMatch(/^221 2.0.0/)
  })

  test('announces what it does and nothing else', async () => {
    const client = await start()
    const ehlo = await client.say('EHLO peer.example')
    expect(ehlo.split('\r\n').map((line) => line.slice(4))).toEqual([
      'mx.served.example',
      'PIPELINING',
      '8BITMIME',
      'ENHANCEDSTATUSCODES',
      'SIZE 62914560',
    ])
    for (const command of ['AUTH PLAIN AA==', 'XCLIENT ADDR=10.0.0.1'])
      expect(await client.say(command)).toMatch(/^500/)
    expect(await client.say('VRFY a@served.example')).toMatch(/^252/)
  })

  test('accepts the domainless postmaster and an internationalised domain in its ASCII form', async () => {
    const asked: string[] = []
    const client = await start({
      isServed: async (address) => {
        asked.push(address)
        return true
      },
    })
    await client.say('EHLO p')
    await client.say('MAIL FROM:<a@xn--bcher-kva.example>')
    expect(await client.say('RCPT TO:<Postmaster>')).toMatch(/^250/)
    expect(await client.say('RCPT TO:<a@xn--bcher-kva.example>')).toMatch(/^250/)
    expect(await client.say('RCPT TO:<@relay.example:b@served.example>')).toMatch(/^250/)
    expect(asked).toEqual(['postmaster@mx.served.example', 'a@xn--bcher-kva.example', 'b@served.example'])
  })
})

describe('refusals before DATA', () => {
  const limits = { errors: 100 }

  test('no relay: an address we do not serve is unknown', async () => {
    const client = await start({ limits })
    await client.say('EHLO p')
    await client.say('MAIL FROM:<a@served.example>')
    expect(await client.say('RCPT TO:<a@elsewhere.example>')).toBe('550 5.1.1 No such Direct address here')
    expect(await client.say('RCPT TO:<a%elsewhere.example@served.example.elsewhere.example>')).toMatch(/^550/)
    expect(await client.say('DATA')).toMatch(/^503/)
  })

  test.each([
    '"a b"@served.example',
    '"a"@served.example',
    'a@[127.0.0.1]',
    'a@b@served.example',
    'a..b@served.example',
    'a@served..example',
    'b\u00fccher@served.example',
    'a@b\u00fccher.example',
    'a\0@served.example',
    `${'x'.repeat(65)}@served.example`,
    'no-domain',
  ])('%j is no address', async (path) => {
    const client = await start({ limits })
    await client.say('EHLO p')
    expect(await client.say(`MAIL FROM:<${path}>`)).toBe('553 5.1.3 Not a valid address')
    await client.say('MAIL FROM:<>')
    expect(await client.say(`RCPT TO:<${path}>`)).toBe('553 5.1.3 Not a valid address')
    expect(await client.say('RCPT TO:<>')).toBe('553 5.1.3 Not a valid address')
  })

  test('a sign that only folds to ASCII is no ASCII', async () => {
    const client = await start({ limits })
    await client.say('EHLO p')
    client.socket.write('MAIL FROM:<\u212aelvin@peer.example>\r\n', 'utf8')
    expect(await client.reply()).toMatch(/^553 5.1.3/)
  })

  test('parameters we do not announce are refused', async () => {
    const client = await start({ limits })
    await client.say('EHLO p')
    expect(await client.say('MAIL FROM:<a@b.example> SMTPUTF8')).toMatch(/^555 5.5.4/)
    expect(await client.say('MAIL FROM:<a@b.example> RET=FULL')).toMatch(/^555 5.5.4/)
    expect(await client.say('MAIL FROM:<a@b.example> BODY=8BITMIME SIZE=10')).toMatch(/^250/)
    expect(await client.say('RCPT TO:<a@served.example> NOTIFY=NEVER')).toMatch(/^555 5.5.4/)
  })

  test('recipients over the limit may be sent again, duplicates do not count', async () => {
    const client = await start()
    await client.say('EHLO p')
    await client.say('MAIL FROM:<>')
    for (let i = 0; i < 100; i++) expect(await client.say(`RCPT TO:<a${i}@served.example>`)).toMatch(/^250/)
    for (let i = 100; i < 110; i++) {
      expect(await client.say(`RCPT TO:<a${i}@served.example>`)).toBe('452 4.5.3 Too many recipients')
    }
    expect(await client.say('RCPT TO:<A1@served.example>')).toMatch(/^250/)
    await client.say('DATA')
    client.write(`${header}.\r\n`)
    expect(await client.reply()).toMatch(/^250/)
    expect(fixture.kept[0]?.envelope.rcptTo).toHaveLength(100)
  })

  test('unknown recipients do not cost the valid one its message, but are not without end', async () => {
    const client = await start({ limits: { refusedRecipients: 10 } })
    client.write(
      `EHLO p\r\nMAIL FROM:<>\r\n${'RCPT TO:<x@y.example>\r\n'.repeat(5)}RCPT TO:<a@served.example>\r\nDATA\r\n`,
    )
    for (let i = 0; i < 8; i++) await client.reply()
    expect(await client.reply()).toMatch(/^354/)
    client.write(`${header}.\r\n`)
    expect(await client.reply()).toMatch(/^250/)
    client.write(`MAIL FROM:<>\r\n${'RCPT TO:<x@y.example>\r\n'.repeat(9)}`)
    expect(await client.closed()).toMatch(/(550 [^\n]*\n){5}421 4.7.0 Too many errors/)
  })

  test('no room, an unhealthy store and a failing one are temporary', async () => {
    let room = false
    let healthy = true
    const client = await start({
      room: async () => room,
      healthy: () => healthy,
      isServed: async () => {
        throw new Error('disk')
      },
    })
    await client.say('EHLO p')
    expect(await client.say('MAIL FROM:<>')).toBe('452 4.3.1 Insufficient system storage')
    room = true
    healthy = false
    expect(await client.say('MAIL FROM:<>')).toMatch(/^451 4.3.0/)
    healthy = true
    expect(await client.say('MAIL FROM:<>')).toMatch(/^250/)
    expect(await client.say('RCPT TO:<a@served.example>')).toBe('451 4.3.0 Temporary failure, try again later')
  })

  test('three errors end the connection, each answered first', async () => {
    const client = await start()
    client.write('FOO\r\nBAR\r\nMAIL FROM:<>\r\nNOOP\r\n')
    expect(await client.closed()).toMatch(
      /^500 [^\n]*\n500 [^\n]*\n503 [^\n]*\n421 4.7.0 Too many errors, closing\r\n$/,
    )
    await until(() => fixture.listener.connections() === 0)
  })

  test('a command line over the limit ends the connection', async () => {
    const client = await start()
    client.write(`EHLO ${'x'.repeat(2048)}\r\n`)
    expect(await client.closed()).toMatch(/^421 /)
  })

  test('who talks before the greeting is sent away', async () => {
    fixture = await listening()
    const client = rudePeer(fixture.listener.port)
    client.write('EHLO p\r\n')
    expect(await client.closed()).toMatch(/^421 /)
  })
})

describe('refusals of a message', () => {
  const send = async (client: Peer, data: string) => {
    await client.toData()
    client.write(data)
    return client.reply()
  }

  test.each(['a\nb', 'a\rb', 'a\0b'])('%j is answered, and then nothing more is read', async (body) => {
    const client = await start()
    await client.toData()
    client.write(`${header}${body}\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<a@served.example>\r\nDATA\r\n${header}.\r\n`)
    expect(await client.closed()).toMatch(/^550 5.6.0 Bare CR, bare LF or NUL is not accepted\r\n421 4.7.0 [^\n]*\n$/)
    expect(fixture.kept).toEqual([])
    await until(() => fixture.listener.connections() === 0)
  })

  test.each([
    ['a long line', `${header}${'x'.repeat(101)}\r\n.\r\n`, '550 5.6.0 Line too long'],
    ['a long header', `${'A: b\r\n'.repeat(40)}${header}\r\n.\r\n`, '550 5.6.0 Header block too large'],
    ['plain text', 'Subject: s\r\n\r\nhello\r\n.\r\n', '554 5.6.1 Only S/MIME encrypted messages are accepted'],
    ['nothing', '.\r\n', '554 5.6.1 Only S/MIME encrypted messages are accepted'],
  ])('%s', async (_, data, reply) => {
    const client = await start({ limits: { lineBytes: 100, headerBytes: 200 } })
    expect(await send(client, data)).toBe(reply)
    expect(fixture.kept).toEqual([])
    expect(fixture.aborted).toHaveLength(1)
    expect(await send(client, `${header}.\r\n`)).toMatch(/^250/)
    expect(fixture.running()).toBe(0)
  })

  test('size: at MAIL, in mid-stream, exactly at the limit and one over', async () => {
    const messageBytes = 5000
    const client = await start({ limits: { messageBytes, errors: 10 } })
    await client.say('EHLO p')
    expect(await client.say(`MAIL FROM:<> SIZE=${messageBytes + 1}`)).toBe('552 5.3.4 Message size exceeds fixed limit')
    expect(await client.say(`MAIL FROM:<> SIZE=${messageBytes}`)).toMatch(/^250/)
    await client.say('RSET')
    const body = (sizeBytes: number) => `${header}${'x'.repeat(sizeBytes - header.length - 2)}\r\n.\r\n`
    expect(await send(client, body(messageBytes))).toMatch(/^250/)
    expect(fixture.kept[0]?.text).toHaveLength(messageBytes)
    expect(await send(client, body(messageBytes + 1))).toBe('552 5.3.4 Message size exceeds fixed limit')
    expect(await send(client, body(messageBytes * 2 - 100))).toMatch(/^552/)
    expect(fixture.kept).toHaveLength(1)
    expect(fixture.aborted).toHaveLength(2)
  })

  test('who goes on sending after a refusal is cut off', async () => {
    const client = await start({ limits: { messageBytes: 5000 } })
    await client.toData()
    client.write(`${header}${'x\r\n'.repeat(50_000)}`)
    expect(await client.closed()).toMatch(/^552 5.3.4/)
    expect(fixture.kept).toEqual([])
    await until(() => fixture.listener.connections() === 0)
  })

  test('a handler that refuses, throws, or answers before the end never becomes a 250', async () => {
    const answers: ((data: AsyncIterable<Uint8Array>) => Promise<Acceptance>)[] = [
      async () => ({ kind: 'refused', reason: 'no-room' }),
      async () => {
        throw new Error('disk')
      },
      async () => ({ kind: 'accepted', id: 'too-early' }),
      async (data) => {
        for await (const _ of data) break
        return { kind: 'accepted', id: 'too-early' }
      },
      async () => ({ kind: 'refused', reason: 'decrypt-failed' }),
    ]
    const client = await start({
      accept: async (_envelope, data) =>
        (answers.shift() ?? (async () => ({ kind: 'accepted' as const, id: 'x' })))(data),
    })
    const message = `${header}${'body\r\n'.repeat(20_000)}.\r\n`
    expect(await send(client, message)).toMatch(/^452 4.3.1/)
    expect(await send(client, message)).toMatch(/^451 4.3.0/)
    expect(await send(client, message)).toMatch(/^451 4.3.0/)
    expect(await send(client, message)).toMatch(/^451 4.3.0/)
    expect(await send(client, message)).toBe('554 5.6.0 Message could not be accepted')
  })

  test('a handler that swallows the refusal and says accepted is not believed', async () => {
    const client = await start({
      accept: async (_envelope, data) => {
        try {
          for await (const _ of data);
        } catch {
          // the seeded bug: it keeps what it has
        }
        return { kind: 'accepted', id: 'wrong' }
      },
      limits: { messageBytes: 1000 },
    })
    expect(await send(client, `${header}${'x'.repeat(1500)}\r\n.\r\n`)).toMatch(/^552/)
  })

  test('the end of the message is the time it was received', async () => {
    let now = 1000
    const client = await start({ clock: { now: () => now } })
    await client.toData()
    client.write(header)
    await sleep(20)
    now = 2000
    client.write('.\r\n')
    await client.reply()
    expect(fixture.kept[0]?.envelope.receivedAt).toBe(2000)
  })
})

describe('commands that move nothing', () => {
  test('end the connection beyond their limit, however they are pipelined', async () => {
    const { listener } = await listening({ limits: { junkCommands: 5 } })
    const client = await peer(listener.port)
    for (const line of ['EHLO a.example', 'NOOP', 'NOOP', 'RSET', 'NOOP'])
      expect(await client.say(line)).toMatch(/^250/)
    client.write('NOOP\r\n'.repeat(1_000))
    expect(await client.reply()).toMatch(/^421 4\.7\.0 /)
    await client.closed()
    await listener.close(0)
  })
})
