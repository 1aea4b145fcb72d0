#!/usr/bin/env node
import { mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Home, OperatorOutcome, Settled } from './cli/operator.js'
import { runCli } from './cli/program.js'
import { runDemo } from './demo/demo.js'
import { type Gateway, startGateway } from './gateway.js'
import { openHouse, random } from './house.js'
import { createMasterKey, type MasterKeyOutcome, readMasterKey, unguarded } from './keyring/master-key.js'
import { openLog } from './observe/log.js'
import { operatorOf } from './operator.js'
import { StoreFailed } from './ports/store.js'

/** Exit codes of `serve` beside 0 (RFC-less, sysexits.h): 75 asks the supervisor to start a new process, 78 asks a person. */
const storeFailedExit = 75
const configurationExit = 78

/** The master key from the environment, or from its file, which nobody else may read. */
function masterKeyOf({ config, masterKey }: Settled): MasterKeyOutcome {
  if (masterKey !== undefined) return readMasterKey(masterKey)
  const path = config.masterKey.file ?? join(config.dataDir, 'master.key')
  try {
    const fault = unguarded(statSync(path), process.getuid?.())
    return fault ? { kind: 'refused', detail: `${path}: ${fault}` } : readMasterKey(readFileSync(path))
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
  mkdirSync(settled.config.dataDir, { recursive: true, mode: 0o700 })
  try {
    const house = await openHouse(settled.config, key.key)
    return { kind: 'opened', operator: operatorOf(house), close: () => house.store.close() }
  } catch (error) {
    if (error instanceof StoreFailed) return { kind: 'refused', detail: error.message }
    throw error
  }
}

/** Runs the gateway until SIGTERM or SIGINT, or until its store fails. */
async function serve(settled: Settled): Promise<number> {
  const log = openLog({ level: settled.config.log.level })
  const key = masterKeyOf(settled)
  if (key.kind === 'refused') {
    log.error('gateway.refused', { cause: key.detail })
    process.stderr.write(`${key.detail}\n`)
    return configurationExit
  }
  mkdirSync(settled.config.dataDir, { recursive: true, mode: 0o700 })
  const house = await openHouse(settled.config, key.key)
  const gateway: Gateway = await startGateway(house, settled.config, key.key, log)
  const told = new Promise<'stop'>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve('stop'))
  })
  const ending = await Promise.race([told, gateway.failed.then(() => 'failed' as const)])
  if (ending === 'failed')
    log.error('alarm', {
      reason: 'store-unavailable',
      cause: 'a write failed; ending so that a new process opens the store again',
    })
  await gateway.close()
  await house.store.close().catch(() => undefined)
  return ending === 'failed' ? storeFailedExit : 0
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
  demo: runDemo,
}

process.exitCode = await runCli(process.argv.slice(2), home)
