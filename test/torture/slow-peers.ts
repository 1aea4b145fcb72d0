import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openMail } from '../../src/demo/mail.js'
import { ask, memoryOf, patient, type Serving, sender, until } from '../fixtures/process.js'
import { dice } from './dice.js'
import { type Ground, letterWriter, makeGround } from './estate.js'
import { copyProduct, type Plant, plants } from './product.js'
import type { Harness, Measure } from './verdict.js'

/**
 * Clients that hold on: hundreds at once that say a byte a second, or nothing, or never read, or reset in the middle of
 * DATA. The gateway's deadlines are shortened so that a run ends; what is judged is that they are kept.
 */

const limits = { peers: 480, rssMiB: 512, p99Ms: 2_000, letters: 60 }
const deadlines = { idle: 4, command: 8, data: 6 }
const environment = {
  DIRECT_GATEWAY_SMTP_IDLE_SECONDS: String(deadlines.idle),
  DIRECT_GATEWAY_SMTP_COMMAND_PHASE_SECONDS: String(deadlines.command),
  DIRECT_GATEWAY_SMTP_DATA_BASE_SECONDS: String(deadlines.data),
}
/** What the deadlines leave at the most: the longest, the ticks by which it is looked at, and this busy machine. */
const allClosedMs = (deadlines.command + 6) * 1000

interface Held {
  readonly socket: Socket
  stop(): void
}

const toData = `EHLO slow.example\r\nMAIL FROM:<${sender}>\r\nRCPT TO:<${patient}>\r\nDATA\r\n`

/** Says so many bytes at once and then one a second, for as long as it is let. */
function drip(socket: Socket, first: string, then: string): Held {
  let at = 0
  socket.write(first)
  const timer = setInterval(() => socket.write(then[at++ % then.length] ?? ' '), 1_000)
  return { socket, stop: () => clearInterval(timer) }
}

const behaviours: readonly ((socket: Socket) => Held)[] = [
  // A command that never ends.
  (socket) => drip(socket.resume(), '', 'NOOP'),
  // A command a few seconds long, again and again: never idle.
  (socket) => drip(socket.resume(), 'EHLO slow.example\r\n', 'NOOP\r\n'),
  (socket) => drip(socket.resume(), toData, 'a'),
  // Connected, and silent.
  (socket) => ({ socket: socket.resume(), stop: () => undefined }),
  // Asks and asks, and never reads an answer.
  (socket) => {
    socket.pause()
    socket.write('EHLO slow.example\r\n'.repeat(5_000))
    return { socket, stop: () => undefined }
  },
  (socket) => {
    socket.resume().write(`${toData}Content-Type: application/pkcs7-mime\r\n\r\n`)
    const timer = setTimeout(() => socket.resetAndDestroy(), 1_500)
    return { socket, stop: () => clearTimeout(timer) }
  },
]

/** How many connections the gateway says that it has. */
async function connections(gateway: Serving): Promise<number | undefined> {
  const { bytes } = await ask(gateway.url, undefined, '/metrics')
  const found = /^(?:\w+_)?smtp_connections(?:\{[^}]*\})? ([\d.]+)$/m.exec(bytes.toString())?.[1]
  return found === undefined ? undefined : Number(found)
}

async function round(ground: Ground, program: string, write: ReturnType<typeof letterWriter>) {
  const trouble: string[] = []
  const gateway = await ground.serve({ program, env: environment })
  const open = new Set<Socket>()
  const held: Held[] = []
  for (let n = 0; n < limits.peers; n++) {
    const socket = connect({ host: '127.0.0.1', port: gateway.smtpPort, noDelay: true })
    open.add(socket)
    socket.on('error', () => undefined).on('close', () => open.delete(socket))
    // After the greeting: who talks before it is sent away at once, and holds nothing.
    const behave = behaviours[n % behaviours.length] as (socket: Socket) => Held
    socket.once('data', () => held.push(behave(socket)))
  }
  const began = performance.now()
  await sleep(1_000)
  let peak = 0
  const took: number[] = []
  let accepted = 0
  for (let n = 0; n < limits.letters; n++) {
    const { wire } = write()
    const at = performance.now()
    const session = await openMail(gateway.smtpPort)
    const reply = await session.send(sender, [patient], wire)
    took.push(performance.now() - at)
    session.close()
    if (reply.startsWith('250')) accepted++
    else trouble.push(`an honest client was told ${reply}`)
    if (n % 5 === 0) peak = Math.max(peak, (await connections(gateway)) ?? 0)
    await sleep(20)
  }
  // Clients that never read do not see the end of their connection either: what the gateway counts is what counts.
  await until(async () => ((await connections(gateway)) === 0 ? true : undefined), allClosedMs).catch(() => undefined)
  const closedMs = performance.now() - began
  const left = await connections(gateway)
  if (left !== 0) trouble.push(`${left} connections are left after ${Math.round(closedMs)} ms`)
  const memory = memoryOf(gateway)
  if ((memory?.peakMiB ?? 0) > limits.rssMiB) trouble.push(`RSS ${memory?.peakMiB} MiB`)
  took.sort((a, b) => a - b)
  const p99 = took[Math.floor(took.length * 0.99)] ?? 0
  if (p99 > limits.p99Ms) trouble.push(`p99 of an honest client ${Math.round(p99)} ms`)
  for (const { socket, stop } of held) {
    stop()
    socket.destroy()
  }
  const { code, signal } = await gateway.stop()
  if (code !== 0) trouble.push(`it ended with ${code ?? signal}`)
  const note = `${peak} held at once, all closed after ${Math.round(closedMs / 1000)} s, honest p99 ${Math.round(p99)} ms, RSS at most ${memory?.peakMiB} MiB`
  return { accepted, trouble, left, note }
}

async function judged(measure: Measure, ground: Ground, name: string, bug: readonly Plant[]) {
  ground.renew()
  const program = join(copyProduct(measure.home, name, bug), 'main.js')
  const found = await round(ground, program, letterWriter(ground, name, dice(measure.seed, name)))
  measure.tell(`${name}: ${found.note}`)
  return found
}

/** One round whatever is asked: it takes its deadlines. Seeded bug: no time limit between two messages. */
export const slowPeers: Harness = async (measure) => {
  const ground = await makeGround()
  try {
    const { accepted, trouble, note } = await judged(measure, ground, 'slow-peers', [])
    const bug = await judged(measure, ground, 'patient', plants.patient)
    return {
      ...{ rounds: 1, acknowledged: accepted, lost: 0, duplicated: 0, trouble },
      caught: (bug.left ?? 0) > 0,
      notes: [note],
    }
  } finally {
    ground.close()
  }
}
