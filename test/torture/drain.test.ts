import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listenForMail, openMail } from '../../src/demo/mail.js'
import {
  ask,
  type Estate,
  furnished,
  letter,
  mustRun,
  patient,
  sender,
  serve,
  tell,
  until,
} from '../fixtures/process.js'
import { peer } from '../smtp/peer.js'

let mail: Awaited<ReturnType<typeof listenForMail>>
let estate: Estate
beforeAll(async () => {
  mail = await listenForMail()
  estate = await furnished(mail.port)
})
afterAll(() => {
  mail.close()
  estate.remove()
})

/** A client of the API that sends half a request and then nothing. */
function halfRequest(url: string): { close(): void } {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port) })
  socket.on('error', () => undefined)
  socket.write('GET /livez HTTP/1.1\r\nHost: x\r\nX-Half: ')
  return { close: () => socket.destroy() }
}

describe('SIGTERM', () => {
  it('lets a message in transfer end, takes no new one, and ends with 0', async () => {
    const gateway = await serve(estate.folder)
    const wire = (await letter(estate, 'in-transfer')).toString('latin1')
    const client = await peer(gateway.smtpPort)
    for (const line of ['EHLO hisp.example', `MAIL FROM:<${sender}>`, `RCPT TO:<${patient}>`, 'DATA'])
      expect(await client.say(line)).toMatch(/^[23]/)
    client.write(wire.slice(0, 1_000))
    const idle = await peer(gateway.smtpPort)
    await sleep(50)

    const began = performance.now()
    const ending = gateway.stop('SIGTERM')
    expect(await idle.reply()).toMatch(/^421 /)
    const late = connect({ host: '127.0.0.1', port: gateway.smtpPort })
    const greeting = await new Promise<string>((resolve) => {
      late.on('data', (text) => resolve(text.toString())).on('error', () => resolve('refused'))
    })
    expect(greeting).toMatch(/^(421 |refused)/)
    client.write(`${wire.slice(1_000).trimEnd()}\r\n.\r\n`)
    expect(await client.reply()).toMatch(/^250 2\.0\.0 /)
    const { code, signal } = await ending
    tell(`drained in ${Math.round(performance.now() - began)} ms`)
    expect({ code, signal }).toEqual({ code: 0, signal: null })

    const again = await serve(estate.folder)
    const token = (
      await mustRun(
        estate.folder,
        'token',
        'create',
        '--address',
        '*',
        '--scope',
        'messages:read',
        '--config',
        'gateway.yaml',
      )
    ).trim()
    await until(async () => {
      const answer = await ask(again.url, token, `/api/v1/mailboxes/${patient}/messages`)
      return answer.json<{ messages: unknown[] }>().messages.length === 1 ? true : undefined
    })
    expect((await again.stop()).code).toBe(0)
  })

  it('is over within the grace, whoever holds on', async () => {
    const gateway = await serve(estate.folder, { env: { DIRECT_GATEWAY_SHUTDOWN_GRACE_SECONDS: '1' } })
    const client = await peer(gateway.smtpPort)
    await client.toData(patient)
    client.write('Content-Type: application/pkcs7-mime\r\n')
    const http = halfRequest(gateway.url)
    await ask(gateway.url, undefined, '/livez') // leaves a connection that is kept alive
    const began = performance.now()
    const { code, signal } = await gateway.stop('SIGTERM')
    const tookMs = performance.now() - began
    tell(`cut off after ${Math.round(tookMs)} ms`)
    expect({ code, signal }).toEqual({ code: 0, signal: null })
    expect(tookMs).toBeLessThan(4_000)
    expect(await client.reply()).toMatch(/^(421 |closed)/)
    http.close()
  })

  it('ends at once when it is repeated', async () => {
    const gateway = await serve(estate.folder)
    const client = await peer(gateway.smtpPort)
    await client.toData(patient)
    client.write('Content-Type: application/pkcs7-mime\r\n')
    await sleep(50)
    gateway.process.kill('SIGTERM')
    await sleep(300)
    expect(gateway.process.exitCode).toBeNull()
    expect((await gateway.stop('SIGTERM')).signal).toBe('SIGTERM')
    const session = await openMail(gateway.smtpPort)
    expect(await session.send(sender, [patient], Buffer.from(''))).toMatch(/^000/)
  })
})
