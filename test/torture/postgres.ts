import { writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, postgresPrograms, startCluster } from '../fixtures/postgres.js'
import { domain, type Serving, serve, until } from '../fixtures/process.js'
import { type Dice, dice } from './dice.js'
import { type Ground, letterWriter, makeGround, newOutbox, type Outbox, sendAll, settleAccounts } from './estate.js'
import { copyProduct, type Plant, plants } from './product.js'
import type { Harness, Measure } from './verdict.js'

/** Gateways over PostgreSQL: connections that are cut, a primary that dies, and several processes over one database. */

const noServer = { skipped: 'the programs of a PostgreSQL server are not installed' }
const clients = 4
/** Leases of a node that died run out: one minute for what goes out, so much for what came in. */
const environment = { DIRECT_GATEWAY_INBOUND_LEASE_SECONDS: '5' }
const patienceMs = 100_000

const over = (url: string) => `store: { kind: postgres, postgres: { url: "${url}", tls: off } }`

/** Senders that go on until they are told to stop: letters are written, sent, and sent again. */
function traffic(port: () => number, ground: Ground, prefix: string, chance: Dice, outbox: Outbox, most: number) {
  const write = letterWriter(ground, prefix, chance)
  let stopping = false
  const refusals = new Map<string, number>()
  const next = () => {
    if (stopping) return undefined
    const again = outbox.waiting.shift()
    if (again || outbox.all.length >= most) return again
    const letter = write()
    outbox.all.push(letter)
    return letter
  }
  async function client() {
    while (!stopping) {
      const reply = await sendAll(port(), outbox, next)
      if (reply) refusals.set(reply.slice(0, 9), (refusals.get(reply.slice(0, 9)) ?? 0) + 1)
      await sleep(50)
    }
  }
  const running = Array.from({ length: clients }, client)
  return {
    refusals,
    async stop() {
      stopping = true
      await Promise.all(running)
    },
  }
}

/** Keeps one gateway running as a supervisor does: what ends is started again. */
function supervised(start: () => Promise<Serving>) {
  let current: Serving | undefined
  let over = false
  const ends: (number | string | null)[] = []
  const running = (async () => {
    while (!over) {
      current = await start().catch(() => undefined)
      if (over) await current?.stop()
      const ended = await current?.ended
      current = undefined
      if (ended && !over) ends.push(ended.code ?? ended.signal)
      if (!over) await sleep(200)
    }
  })()
  return {
    ends,
    port: () => current?.smtpPort ?? 1,
    gateway: () => current,
    async stop(signal: NodeJS.Signals = 'SIGTERM') {
      over = true
      const late = setTimeout(() => current?.process.kill('SIGKILL'), 20_000)
      await current?.stop(signal)
      await running
      clearTimeout(late)
    },
  }
}

async function cutConnections(cluster: Cluster): Promise<number> {
  const text =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'direct-gateway' AND random() < 0.7"
  return (await cluster.sql(text)).length
}

/** Traffic over a gateway whose connections are cut again and again; then, where asked, its primary dies. */
async function databaseRounds(measure: Measure, name: string, bug: readonly Plant[], cuts: number, failover: boolean) {
  const primary = await startCluster({ settings: ['synchronous_commit = on'] })
  const standby = failover ? await primary.standby('second') : undefined
  try {
    if (standby) {
      primary.configure(["synchronous_standby_names = 'second'"])
      await primary.reload()
    }
    const url = await primary.createDatabase()
    const both = standby ? url.replace(`:${primary.port}/`, `:${primary.port},127.0.0.1:${standby.port}/`) : url
    const ground = await makeGround(over(both))
    try {
      const program = join(copyProduct(measure.home, name, bug), 'main.js')
      const outbox = newOutbox()
      const house = supervised(() => ground.serve({ program, env: environment }))
      const senders = traffic(house.port, ground, name, dice(measure.seed, name), outbox, 150 + cuts * 30)
      const chance = dice(measure.seed, name, 'cuts')
      await until(() => (outbox.all.some(({ acknowledged }) => acknowledged) ? true : undefined))
      let terminated = 0
      for (let n = 0; n < cuts; n++) {
        await sleep(chance.between(100, 1_000))
        terminated += await cutConnections(primary)
      }
      const trouble: string[] = []
      let backMs = 0
      if (standby) {
        const before = outbox.all.filter(({ acknowledged }) => acknowledged).length
        primary.kill()
        const began = performance.now()
        await standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
        await standby.promote()
        await until(
          () => (outbox.all.filter(({ acknowledged }) => acknowledged).length > before ? true : undefined),
          60_000,
        ).catch(() => {
          const said = house.gateway()?.err().trim().split('\n').slice(-8).join(' | ')
          trouble.push(`nothing was accepted for a minute after the standby was promoted; the gateway says ${said}`)
        })
        backMs = Math.round(performance.now() - began)
        await sleep(500)
      }
      await senders.stop()
      await house.stop()
      const account = await settleAccounts(ground, outbox, {
        heard: 0,
        program,
        patienceMs: bug.length > 0 ? 5_000 : patienceMs,
      })
      measure.tell(
        `${name}: ${account.acknowledged} acknowledged, ${account.lost} lost, told ${JSON.stringify([...senders.refusals])}, ends ${house.ends}`,
      )
      const bad = house.ends.filter((end) => end !== 75)
      if (bad.length > 0) trouble.push(`the gateway ended with ${bad}`)
      const notes = [`${terminated} connections cut`, `${house.ends.length} ends with 75`]
      if (standby) notes.push(`accepts again ${backMs} ms after the primary died`)
      notes.push(`${account.noticesAgain} notices came again`)
      return { ...account, trouble: [...trouble, ...account.trouble], notes }
    } finally {
      ground.close()
    }
  } finally {
    await standby?.destroy()
    await primary.destroy()
  }
}

/** Seeded bug: a writer that does not hear whether its transaction was committed. */
export const postgres: Harness = async (measure) => {
  if (!postgresPrograms) return noServer
  const found = await databaseRounds(measure, 'postgres', [], Math.min(measure.rounds, 60), true)
  const bug = await databaseRounds(measure, 'before-commit', plants.beforeCommit, 10, false)
  return { ...found, rounds: Math.min(measure.rounds, 60) + 1, caught: bug.lost > 0 }
}

/** A balancer of TCP connections over ports that come and go: the next that takes it. */
async function balancer(ports: () => readonly number[]) {
  let turn = 0
  const open = new Set<Socket>()
  const server = createServer((client) => {
    open.add(client.on('close', () => open.delete(client)).on('error', () => client.destroy()))
    const choices = ports()
    const first = turn++
    const attempt = (n: number) => {
      const port = choices[(first + n) % Math.max(1, choices.length)]
      if (port === undefined || n >= choices.length) return void client.destroy()
      const upstream = connect({ host: '127.0.0.1', port, noDelay: true })
      let through = false
      upstream.once('connect', () => {
        through = true
        client.pipe(upstream).pipe(client)
      })
      upstream.on('error', () => (through ? client.destroy() : attempt(n + 1)))
      upstream.on('close', () => void (through && client.destroy()))
      client.on('close', () => upstream.destroy())
    }
    attempt(0)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: address && typeof address === 'object' ? address.port : 0,
    close() {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}

const nodeCount = 3

async function nodeRounds(measure: Measure, name: string, bug: readonly Plant[], kills: number, rolling: boolean) {
  const cluster = await startCluster()
  try {
    const url = await cluster.createDatabase()
    const ground = await makeGround(over(url))
    const program = join(copyProduct(measure.home, name, bug), 'main.js')
    const houses = Array.from({ length: nodeCount }, (_, n) => {
      writeNode(ground, n, url)
      return supervised(() =>
        serve(ground.folder, {
          program,
          config: `node-${n}.yaml`,
          env: { ...environment, DIRECT_GATEWAY_OUTBOUND_CONNECTIONS_PER_DOMAIN: '32' },
        }),
      )
    })
    const door = await balancer(() => houses.map(({ port }) => port()).filter((port) => port > 1))
    const outbox = newOutbox()
    try {
      await until(() => (houses.every(({ gateway }) => gateway()) ? true : undefined), 60_000)
      const senders = traffic(() => door.port, ground, name, dice(measure.seed, name), outbox, 200 + kills * 40)
      const chance = dice(measure.seed, name, 'kills')
      for (let n = 0; n < kills; n++) {
        await sleep(chance.between(100, 600))
        const victim = chance.pick(houses)
        victim.gateway()?.process.kill('SIGKILL')
        await until(
          () => (victim.gateway() && victim.gateway()?.process.signalCode === null ? true : undefined),
          20_000,
        ).catch(() => undefined)
      }
      if (rolling)
        for (const house of houses) {
          const old = house.gateway()
          old?.process.kill('SIGTERM')
          await until(() => (house.gateway() && house.gateway() !== old ? true : undefined), 30_000)
        }
      await senders.stop()
      const trouble: string[] = []
      const permanent = [...senders.refusals].filter(([reply]) => reply.startsWith('5'))
      if (permanent.length > 0) trouble.push(`senders were refused for good: ${permanent}`)
      const ends = houses.flatMap((house) => house.ends)
      await Promise.all(houses.map((house) => house.stop()))
      const account = await settleAccounts(ground, outbox, {
        heard: 0,
        program,
        patienceMs: bug.length > 0 ? 10_000 : patienceMs,
      })
      const bad = ends.filter((end) => end !== 'SIGKILL' && end !== 0 && end !== 75)
      if (bad.length > 0) trouble.push(`nodes ended with ${bad}`)
      if (account.noticesAgain > kills * clients * 32) trouble.push(`${account.noticesAgain} notices came again`)
      measure.tell(
        `${name}: ${account.acknowledged} acknowledged, ${account.lost} lost, ${account.duplicated} twice, told ${JSON.stringify([...senders.refusals])}, ends ${ends}`,
      )
      const notes = [
        `${kills} nodes killed, each of ${nodeCount} ${rolling ? 'restarted in turn' : 'left alone'}`,
        `${account.noticesAgain} notices came again`,
      ]
      return { ...account, trouble: [...trouble, ...account.trouble], notes }
    } finally {
      door.close()
      await Promise.all(houses.map((house) => house.stop('SIGKILL')))
      ground.close()
    }
  } finally {
    await cluster.destroy()
  }
}

/** A node's configuration: everything shared but its own folder and ports. */
function writeNode({ folder, mail }: Ground, n: number, url: string) {
  const lines = [
    `dataDir: node-${n}`,
    'masterKey: { file: data/master.key }',
    `hostname: ${domain}`,
    'smtp: { host: 127.0.0.1, port: 0 }',
    'http: { host: 127.0.0.1, port: 0 }',
    `outbound: { defaultRoute: "127.0.0.1:${mail.port}", scheduleSeconds: [1, 1, 1, 2, 5] }`,
    'shutdown: { graceSeconds: 10 }',
    over(url),
  ]
  writeFileSync(join(folder, `node-${n}.yaml`), `${lines.join('\n')}\n`)
}

/** Three gateways over one database. Seeded bug: the same. */
export const nodes: Harness = async (measure) => {
  if (!postgresPrograms) return noServer
  const kills = Math.min(measure.rounds, 20)
  const found = await nodeRounds(measure, 'nodes', [], kills, true)
  const bug = await nodeRounds(measure, 'nodes-before-commit', plants.beforeCommit, 2, false)
  return { ...found, rounds: kills, caught: bug.lost > 0 || bug.trouble.length > 0 }
}
