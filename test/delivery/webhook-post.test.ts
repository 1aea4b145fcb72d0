import type { Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { readEndpoint, signatureHeaders } from '../../src/delivery/webhook-endpoint.js'
import { openWebhookLine, webhookPostLimits } from '../../src/delivery/webhook-post.js'
import { endpointOf, isGenuine, openRaw, openReceiver, secret } from './receiver.js'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const message = { id: 'm-1', body: Buffer.from('{"type":"test","data":{"sequence":1,"step":"sent"}}') }
const limits = { ...webhookPostLimits, timeoutMs: 300, bodyMs: 100 }

function lineTo(url: string, given = limits) {
  const line = openWebhookLine(endpointOf(url), given)
  closing.push(line.close)
  return line
}

/** What becomes of a delivery to a server that answers like this. */
async function answered(speak: (socket: Socket) => void) {
  const raw = await openRaw(speak)
  closing.push(raw.close)
  return lineTo(raw.url).post(message, Date.now())
}

describe('a delivery', () => {
  it('is taken by every status from 200 to 299, whatever the body', async () => {
    for (const status of [200, 201, 202, 204, 299]) {
      const outcome = await answered((socket) => socket.end(`HTTP/1.1 ${status} Fine\r\ncontent-length: 0\r\n\r\n`))
      expect(outcome).toEqual({ kind: 'taken', detail: `answered ${status}` })
    }
  })

  it('does not follow redirects', async () => {
    const elsewhere = await openReceiver()
    closing.push(elsewhere.close)
    for (const status of [301, 302, 303, 307, 308]) {
      const redirect = `HTTP/1.1 ${status} Go\r\nlocation: ${elsewhere.url}\r\ncontent-length: 0\r\n\r\n`
      const outcome = await answered((socket) => socket.end(redirect))
      expect(outcome).toEqual({ kind: 'failed', detail: `answered ${status}; redirects are not followed` })
    }
    expect(elsewhere.all).toEqual([])
  })

  it('ends in time where nothing, a part of the headers, or no end of interim answers comes', async () => {
    const never = 'no answer within 0.3 seconds'
    expect(await answered(() => undefined)).toEqual({ kind: 'failed', detail: never })
    expect(await answered((socket) => socket.write('HTTP/1.1 200 OK\r\nx: '))).toEqual({
      kind: 'failed',
      detail: never,
    })
    const interim = (socket: Socket) => {
      const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 5)
      socket.on('close', () => clearInterval(timer))
    }
    expect(await answered(interim)).toEqual({ kind: 'failed', detail: never })
  })

  it('is taken by a status whose body never ends, or is huge, and reads little of it', async () => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n'
    expect(await answered((socket) => socket.write(`${head}slow`))).toMatchObject({ kind: 'taken' })
    let written = 0
    const flood = (socket: Socket) => {
      socket.write(head)
      const timer = setInterval(() => {
        written += 65_536
        socket.write(Buffer.alloc(65_536, 'x'))
      }, 1)
      socket.on('close', () => clearInterval(timer))
    }
    expect(await answered(flood)).toMatchObject({ kind: 'taken' })
    expect(written).toBeLessThan(100_000_000)
  })

  it('fails in words on garbage, closed connections, other protocols and headers without end', async () => {
    const fails = async (speak: (socket: Socket) => void) => {
      const outcome = await answered(speak)
      expect(outcome.kind).toBe('failed')
      expect(outcome.detail).toMatch(/^[^\p{C}]{1,220}$/u)
    }
    await fails((socket) => socket.end())
    await fails((socket) => socket.destroy())
    await fails((socket) => socket.end('\u0000\u0001garbage\r\n\r\n'))
    await fails((socket) => socket.end('220 mail.example ESMTP\r\n'))
    await fails((socket) => socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(64 * 1024)}\r\n\r\n`))
    await fails((socket) =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    )
    await fails((socket) => socket.end('HTTP/1.1 500 No\r\ncontent-length: 6\r\n\r\na\u001b[2Jb'))
    await fails((socket) => socket.end(`HTTP/1.1 400 No\r\ncontent-length: 9000\r\n\r\n${'z'.repeat(9000)}`))
  })

  it('survives any bytes for an answer', async () => {
    const answers = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ maxLength: 100 }).map((text) => Buffer.from(`HTTP/1.1 ${text}`)),
      fc
        .tuple(fc.integer({ min: 0, max: 999 }), fc.string({ maxLength: 60 }))
        .map(([status, text]) => Buffer.from(`HTTP/1.1 ${status} x\r\n${text}\r\n\r\n`)),
    )
    let answer: Uint8Array = new Uint8Array()
    const raw = await openRaw((socket) => socket.end(answer))
    closing.push(raw.close)
    const line = lineTo(raw.url)
    await fc.assert(
      fc.asyncProperty(answers, async (bytes) => {
        answer = bytes
        expect(['taken', 'gone', 'failed']).toContain((await line.post(message, 0)).kind)
      }),
      { numRuns: 500 },
    )
  })

  it('to nobody fails, and the next one is tried anew', async () => {
    const receiver = await openReceiver()
    await receiver.close()
    const line = lineTo(receiver.url)
    for (let i = 0; i < 2; i++) {
      const outcome = await line.post(message, Date.now())
      expect(outcome).toMatchObject({ kind: 'failed', detail: expect.stringMatching(/ECONNREFUSED/) })
    }
  })
})

describe('a signature', () => {
  it('is the one of the Standard Webhooks test vector', () => {
    const key = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64')
    const given = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', body: Buffer.from('{"test": 2432232314}') }
    expect(signatureHeaders(given, [key], 1_614_265_330_000)).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })

  it('is made with both secrets while one replaces the other', () => {
    const other = `whsec_${Buffer.alloc(24, 9).toString('base64')}`
    const endpoint = endpointOf('https://ehr.example/', { secret: `${other}\n${secret}\n` })
    const headers = signatureHeaders(message, endpoint.secrets, 5_000)
    for (const key of [secret, other])
      expect(isGenuine('m-1', '5', message.body.toString(), headers['webhook-signature'], key)).toBe(true)
    const third = `whsec_${Buffer.alloc(24, 1).toString('base64')}`
    expect(isGenuine('m-1', '5', message.body.toString(), headers['webhook-signature'], third)).toBe(false)
  })
})

describe('an endpoint as it is configured', () => {
  const given = { name: 'ehr', url: 'https://ehr.example/hook', secret }

  it('is https, or http to this machine', () => {
    for (const url of [
      'https://ehr.example',
      'https://10.0.0.7:8443/x',
      'http://127.0.0.1:9/',
      'http://localhost/',
      'http://[::1]:80/',
    ])
      expect(readEndpoint({ ...given, url }).kind, url).toBe('endpoint')
    for (const url of [
      'http://ehr.example/',
      'http://10.0.0.7/',
      'http://127.0.0.1.example/',
      'http://localhost.example/',
      'ftp://ehr.example/',
      'file:///etc/passwd',
      'x',
      'https://user:pw@ehr.example/',
    ])
      expect(readEndpoint({ ...given, url }).kind, url).toBe('refused')
  })

  it('is told of steps that there are', () => {
    expect(readEndpoint({ ...given, steps: ['sent', 'edge-failed'] }).kind).toBe('endpoint')
    const outcome = readEndpoint({ ...given, steps: ['sent', 'delivred'] })
    expect(outcome).toMatchObject({ kind: 'refused', detail: expect.stringMatching(/^delivred is no step/) })
  })

  it('has one or two secrets of 24 to 64 bytes, and refuses others without repeating them', () => {
    const bytes = (n: number) => `whsec_${Buffer.alloc(n, 3).toString('base64')}`
    for (const text of [
      bytes(24),
      bytes(64),
      `${bytes(24)}\n`,
      `\r\n${bytes(24)}\r\n${bytes(32)}\r\n`,
      bytes(25).replaceAll('=', ''),
    ])
      expect(readEndpoint({ ...given, secret: text }).kind, text).toBe('endpoint')
    for (const text of [
      '',
      'whsec_',
      bytes(23),
      bytes(65),
      bytes(32).slice(6),
      `${bytes(32)}!`,
      `${bytes(32)} x`,
      `${bytes(24)}\n${bytes(24)}\n${bytes(24)}`,
      `${bytes(24)}\nsecret`,
    ]) {
      const outcome = readEndpoint({ ...given, secret: text })
      expect(outcome.kind, text).toBe('refused')
      if (outcome.kind === 'refused' && text.length > 20) expect(outcome.detail).not.toContain(text.slice(6, 20))
    }
  })
})
