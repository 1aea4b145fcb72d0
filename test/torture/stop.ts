import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { patient, sender } from '../fixtures/process.js'
import { peer } from '../smtp/peer.js'
import { dice } from './dice.js'
import { type Ground, letterWriter, makeGround, newOutbox, type Outbox, sendAll, settleAccounts } from './estate.js'
import { copyProduct, type Plant, plants } from './product.js'
import type { Harness, Measure } from './verdict.js'

/** SIGTERM under load: no new mail, what is in transfer ends with 250, the process with 0, and nothing is lost. */

const graceMs = 10_000
const clients = 4

/** What a newcomer is told: the greeting, or that nobody listens. */
function greeting(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('data', (text) => {
      resolve(text.toString())
      socket.destroy()
    })
    socket.once('error', () => resolve('refused')).once('close', () => resolve('refused'))
  })
}

async function round(
  ground: Ground,
  outbox: Outbox,
  write: ReturnType<typeof letterWriter>,
  program: string,
  waits: { readonly beforeMs: number; readonly transferMs: number },
): Promise<string[]> {
  const trouble: string[] = []
  const gateway = await ground.serve({ program })
  const letter = write()
  outbox.all.push(letter)
  letter.tries++
  const slow = await peer(gateway.smtpPort)
  for (const line of ['EHLO hisp.example', `MAIL FROM:<${sender}>`, `RCPT TO:<${patient}>`, 'DATA']) {
    const reply = await slow.say(line)
    if (!/^[23]/.test(reply)) trouble.push(`${line} got: ${reply}`)
  }
  const text = letter.wire.toString('latin1').replace(/^\./gm, '..').trimEnd()
  slow.write(text.slice(0, 1_000))
  let stopping = false
  const next = () => {
    if (stopping) return undefined
    const again = outbox.waiting.shift()
    if (again) return again
    const fresh = write()
    outbox.all.push(fresh)
    return fresh
  }
  const traffic = Array.from({ length: clients }, () => sendAll(gateway.smtpPort, outbox, next))
  await sleep(waits.beforeMs)
  const began = performance.now()
  const ending = gateway.stop('SIGTERM')
  await sleep(50)
  stopping = true
  const late = await greeting(gateway.smtpPort)
  if (!/^(421 |refused)/.test(late)) trouble.push(`a newcomer was told ${late}`)
  await sleep(waits.transferMs)
  slow.write(`${text.slice(1_000)}\r\n.\r\n`)
  const reply = await slow.reply()
  if (reply.startsWith('250')) letter.acknowledged = true
  else {
    outbox.waiting.push(letter)
    trouble.push(`a message in transfer got: ${reply}`)
  }
  const { code, signal } = await ending
  await Promise.all(traffic)
  slow.socket.destroy()
  if (code !== 0) trouble.push(`it ended with ${code ?? signal}`)
  if (performance.now() - began > graceMs + 3_000) trouble.push('it took longer than the grace')
  return trouble
}

async function rounds(measure: Measure, ground: Ground, name: string, bug: readonly Plant[], count: number) {
  ground.renew()
  const program = join(copyProduct(measure.home, name, bug), 'main.js')
  const outbox = newOutbox()
  const heard = ground.mail.received.length
  const write = letterWriter(ground, name, dice(measure.seed, name))
  const trouble: string[] = []
  for (let n = 0; n < count; n++) {
    const chance = dice(measure.seed, name, n)
    const waits = { beforeMs: chance.between(50, 600), transferMs: chance.between(0, 1_500) }
    const found = await round(ground, outbox, write, program, waits)
    trouble.push(...found.map((words) => `round ${n}: ${words}`))
    measure.tell(`${name} round ${n}: ${found.join('; ') || 'well'}`)
  }
  const account = await settleAccounts(ground, outbox, { heard, program })
  return { ...account, rounds: count, trouble: [...trouble, ...account.trouble] }
}

/** Seeded bug: a stop that cuts off messages in transfer. */
export const gracefulStop: Harness = async (measure) => {
  const ground = await makeGround()
  try {
    const { noticesAgain, ...found } = await rounds(measure, ground, 'graceful-stop', [], Math.ceil(measure.rounds / 4))
    const bug = await rounds(measure, ground, 'cutting', plants.cutting, 1)
    const caught = bug.trouble.some((words) => words.includes('in transfer'))
    return { ...found, caught, notes: [`${noticesAgain} notices came again`] }
  } finally {
    ground.close()
  }
}
