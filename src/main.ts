#!/usr/bin/env node
import { readFileSync, statSync } from 'node:fs'
import { exitCodes, type Home, type OperatorOutcome, type Settled } from './cli/operator.js'
import { runCli } from './cli/program.js'
import { masterKeyFile } from './config/load.js'
import { HomeMarked, type House, openHouse, random, WrongMasterKey } from './house.js'
import { createMasterKey, type MasterKeyOutcome, readMasterKey, unguarded } from './keyring/master-key.js'
import { openLog } from './observe/log.js'
import { openOperator, restoreHomes, undoMoved } from './operator.js'
import { StoreFailed } from './ports/store.js'

/** What is left of the grace when the store has failed: nothing in hand can be finished, only told off. */
const failedGraceMs = 1_000
/** How long after its end the process may hang on something that was not closed. */
const lingerMs = 2_000

/** The master key from the environment, or from its file, which nobody else may read. */
function masterKeyOf({ config, masterKey }: Settled): MasterKeyOutcome {
  if (masterKey !== undefined) return readMasterKey(masterKey)
  const path = masterKeyFile(config)
  try {
    const fault = unguarded(statSync(path), process.getuid?.(), process.getgroups?.() ?? [])
    if (fault) return { kind: 'refused', detail: `${path}: ${fault}` }
    const read = readMasterKey(readFileSync(path))
    return read.kind === 'refused' ? { ...read, detail: `${path}: ${read.detail}` } : read
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    return {
      kind: 'refused',
      detail: missing
        ? `There is no master key at ${path}; make one with \`direct-gateway init\``
        : `${path}: ${(error as Error).message}`,
    }
  }
}

/** Opens the house for one command, while no gateway runs. */
async function openForCommand(settled: Settled): Promise<OperatorOutcome> {
  const key = masterKeyOf(settled)
  if (key.kind === 'refused') return key
  try {
    const house = await openHouse(settled.config, key.key)
    const { operator, close } = openOperator(house, settled.config)
    return {
      kind: 'opened',
      operator,
      async close() {
        await close()
        await house.close()
      },
    }
  } catch (error) {
    if (error instanceof StoreFailed || error instanceof WrongMasterKey || error instanceof HomeMarked)
      return { kind: 'refused', detail: error.message }
    throw error
  }
}

/** Runs the gateway until SIGTERM or SIGINT, or until its store fails. A second signal ends it at once. */
async function serve(settled: Settled): Promise<number> {
  const [{ startGateway }, { CannotStart }] = await Promise.all([import('./gateway.js'), import('./gateway/parts.js')])
  const told = new Promise<'stop'>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve('stop'))
  })
  const key = masterKeyOf(settled)
  if (key.kind === 'refused') return refuse(key.detail, exitCodes.misconfigured)
  const log = openLog({ level: settled.config.log.level })
  let house: House | undefined
  try {
    house = await openHouse(settled.config, key.key, {
      onStoreChange: ({ kind, text }) =>
        kind === 'away' ? log.error('store.away', { cause: text }) : log.info('store.connected', { server: text }),
    })
    const gateway = await startGateway(house, settled.config, key.key, log)
    const ending = await Promise.race([told, house.store.lost])
    if (ending === 'stop') {
      await gateway.close()
      return 0
    }
    log.error('alarm', {
      reason: 'store-unavailable',
      cause: `${ending.message}; ending so that a new process opens it`,
    })
    await gateway.close(failedGraceMs)
    return exitCodes.tryAgain
  } catch (error) {
    if (error instanceof CannotStart)
      return refuse(error.message, error.passing ? exitCodes.tryAgain : exitCodes.misconfigured)
    if (error instanceof StoreFailed) return refuse(error.message, exitCodes.tryAgain)
    if (error instanceof WrongMasterKey || error instanceof HomeMarked)
      return refuse(error.message, exitCodes.misconfigured)
    throw error
  } finally {
    await house?.close().catch(() => undefined)
  }
}

function refuse(words: string, exit: number): number {
  process.stderr.write(`error: ${words}\n`)
  return exit
}

const home: Home = {
  version: (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
    .version,
  cwd: process.cwd(),
  env: process.env,
  print: (text) => void process.stdout.write(text),
  printError: (text) => void process.stderr.write(text),
  createMasterKey: () => createMasterKey(random),
  open: openForCommand,
  serve,
  async restore(settled, file, progress) {
    const key = masterKeyOf(settled)
    if (key.kind === 'refused') return key
    return restoreHomes(settled.config, key.key, file, progress)
  },
  undoMark: (settled) => undoMoved(settled.config),
  watched: process.stderr.isTTY === true,
  demo: async (options) => (await import('./demo/demo.js')).runDemo(options),
}

// Who reads our words may have had enough of them (`| head`).
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})
process.exitCode = await runCli(process.argv.slice(2), home)
// Everything is closed by now, so nothing keeps the process; what does all the same must not keep a supervisor waiting.
setTimeout(() => process.exit(), lingerMs).unref()
