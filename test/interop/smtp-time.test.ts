import { afterEach, expect, test } from 'vitest'
import { type Fixture, header, listening, type Peer, peer, rudePeer, sleep, until } from '../smtp/peer.js'

let fixture: Fixture

async function start(...options: Parameters<typeof listening>): Promise<Peer> {
  fixture = await listening(...options)
  return peer(fixture.listener.port)
}

afterEach(() => fixture?.listener.close(0))

test('a client that vanishes in mid-message leaves nothing running', async () => {
  const client = await start()
  await client.toData()
  client.write(`${header}half a mess`)
  await until(() => fixture.running() === 1)
  client.socket.destroy()
  await until(() => fixture.running() === 0 && fixture.listener.connections() === 0)
  expect(fixture.aborted).toEqual(['MessageAborted: The client went away before the end of the message'])
  expect(fixture.kept).toEqual([])
})

test('the idle are told and closed, in the command phase and in DATA', async () => {
  const client = await start({ limits: { idleMs: 150 } })
  expect(await client.closed()).toBe('421 4.4.2 Time limit exceeded\r\n')
  const second = await peer(fixture.listener.port)
  await second.toData()
  second.write(header)
  expect(await second.closed()).toBe('421 4.4.2 Time limit exceeded\r\n')
  await until(() => fixture.running() === 0 && fixture.listener.connections() === 0)
})

test('a byte now and then does not stretch the command phase', async () => {
  const client = await start({ limits: { idleMs: 200, commandPhaseMs: 400 } })
  const drip = setInterval(() => client.write('x'), 50)
  const started = performance.now()
  expect(await client.closed()).toBe('421 4.4.2 Time limit exceeded\r\n')
  clearInterval(drip)
  expect(performance.now() - started).toBeLessThan(600)
})

test('a byte now and then does not stretch DATA, enough bytes do', async () => {
  const client = await start({ limits: { dataBaseMs: 300, dataBytesPerSecond: 500 } })
  await client.toData()
  const slow = setInterval(() => client.write('x'), 50)
  expect(await client.closed()).toBe('421 4.4.2 Time limit exceeded\r\n')
  clearInterval(slow)
  await until(() => fixture.running() === 0)
  const second = await peer(fixture.listener.port)
  await second.toData()
  second.write(header)
  for (let i = 0; i < 12; i++) {
    await sleep(50)
    second.write(`${'y'.repeat(48)}\r\n`)
  }
  second.write('.\r\n')
  expect(await second.reply()).toMatch(/^250/)
})

test('the message comes at the pace of the store, and its slowness is not held against the client', async () => {
  let taken = 0
  const client = await start({
    limits: { dataBaseMs: 200, dataBytesPerSecond: 1_000_000 },
    accept: async (_envelope, data) => {
      for await (const chunk of data) {
        if (taken === 0) await sleep(800)
        taken += chunk.length
      }
      return { kind: 'accepted', id: 'slow' }
    },
  })
  await client.toData()
  const body = `${'z'.repeat(70)}\r\n`.repeat(400_000)
  const flushed = client.socket.write(`${header}${body}.\r\n`)
  await sleep(300)
  expect(flushed).toBe(false)
  expect(client.socket.writableLength).toBeGreaterThan(0)
  expect(await client.reply()).toBe('250 2.0.0 slow accepted')
  expect(taken).toBe(header.length + body.length)
})

test('too many connections in total, by address and within a second are sent away with 421', async () => {
  const one = await start({ limits: { connections: 1 } })
  expect(await rudePeer(fixture.listener.port).closed()).toMatch(/^421 4.7.0 Too many connections/)
  await one.say('QUIT')
  await until(() => fixture.listener.connections() === 0)
  expect(await (await peer(fixture.listener.port)).say('NOOP')).toMatch(/^250/)
  await fixture.listener.close(0)
  fixture = await listening({ limits: { limitLoopback: true, connectionsPerAddress: 2 } })
  const two = [await peer(fixture.listener.port), await peer(fixture.listener.port)]
  expect(await rudePeer(fixture.listener.port).closed()).toMatch(/^421 4.7.0/)
  for (const client of two) client.socket.destroy()
  await fixture.listener.close(0)
  fixture = await listening({ limits: { limitLoopback: true, newPerAddressPerSecond: 3 }, clock: { now: () => 5 } })
  for (let i = 0; i < 3; i++) (await peer(fixture.listener.port)).socket.destroy()
  expect(await rudePeer(fixture.listener.port).closed()).toMatch(/^421 4.7.0/)
})

test('closing lets a message in transfer finish and sends everybody else away', async () => {
  const busy = await start()
  const idle = await peer(fixture.listener.port)
  await busy.toData()
  busy.write(header)
  await until(() => fixture.running() === 1)
  const closing = fixture.listener.close(5000)
  expect(await idle.closed()).toBe('421 4.3.2 Shutting down, try again later\r\n')
  expect(await rudePeer(fixture.listener.port).closed()).toBe('421 4.3.2 Shutting down, try again later\r\n')
  busy.write('body\r\n.\r\n')
  expect(await busy.reply()).toMatch(/^250/)
  expect(await busy.closed()).toBe('421 4.3.2 Shutting down, try again later\r\n')
  await closing
  expect(fixture.kept).toHaveLength(1)
  expect(fixture.listener.connections()).toBe(0)
})

test('closing waits no longer than it was told to', async () => {
  const busy = await start()
  await busy.toData()
  busy.write(header)
  await until(() => fixture.running() === 1)
  const started = performance.now()
  await fixture.listener.close(200)
  expect(performance.now() - started).toBeLessThan(1500)
  await until(() => fixture.running() === 0)
  expect(fixture.kept).toEqual([])
})

test('a crowd that vanishes anywhere leaves nothing behind, and an honest client is served meanwhile', async () => {
  fixture = await listening({ limits: { errors: 1000 } })
  const whole = `EHLO p\r\nMAIL FROM:<>\r\nRCPT TO:<a@served.example>\r\nDATA\r\n${header}${'body\r\n'.repeat(40)}.\r\nQUIT\r\n`
  const crowd = Array.from({ length: 200 }, async (_, i) => {
    const client = rudePeer(fixture.listener.port)
    if (i % 5 !== 0) await client.reply()
    const cut = Math.floor((whole.length * i) / 200)
    client.write(whole.slice(0, cut))
    await sleep(i % 17)
    if (i % 2) client.socket.resetAndDestroy()
    else client.socket.destroy()
  })
  const honest = await peer(fixture.listener.port)
  await honest.toData('honest@served.example')
  honest.write(`${header}.\r\n`)
  expect(await honest.reply()).toMatch(/^250/)
  honest.socket.destroy()
  await Promise.all(crowd)
  await until(() => fixture.listener.connections() === 0 && fixture.running() === 0)
  for (const { envelope, text } of fixture.kept) {
    expect(text.endsWith('body\r\n') || envelope.rcptTo[0] === 'honest@served.example').toBe(true)
  }
})

test('five hundred who say nothing are all sent away in time', async () => {
  fixture = await listening({ limits: { idleMs: 1500, connections: 500 } })
  const silent = Array.from({ length: 520 }, () => rudePeer(fixture.listener.port))
  await until(() => fixture.listener.connections() === 500)
  const lastWords = await Promise.all(silent.map((client) => client.closed()))
  expect(lastWords.filter((words) => words.startsWith('421 4.7.0'))).toHaveLength(20)
  expect(lastWords.filter((words) => words.endsWith('421 4.4.2 Time limit exceeded\r\n'))).toHaveLength(500)
  await until(() => fixture.listener.connections() === 0)
})
