import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { audit } from '../../src/audit/audit.js'
import type { Context, Home } from '../../src/cli/operator.js'
import { runCli, runCommand } from '../../src/cli/program.js'
import { settings } from '../../src/config/settings.js'
import { openActivity } from '../../src/consent/activity.js'
import { openApps } from '../../src/consent/apps.js'
import { openVault } from '../../src/keyring/vault.js'
import { openMailbox } from '../../src/mailbox/mailbox.js'
import { openOperator } from '../../src/operator.js'
import { openRecord } from '../../src/record/record.js'
import { openQuarantine } from '../../src/spool/quarantine.js'
import { openSpool } from '../../src/spool/spool.js'
import { openSubmissions } from '../../src/spool/submission.js'
import { openTrail } from '../../src/spool/trail.js'
import { createMemoryBlobs } from '../../src/store/memory-blobs.js'
import { random, world } from '../directory/worlds.js'

/** A gateway in memory with everything a command may touch: real rooms over the memory store. */
export async function house() {
  const { store, directory, keyring, clock } = await world()
  const blobs = createMemoryBlobs(clock)
  const vault = openVault({ store, keyring, random })
  const kept = { store, blobs, vault, clock, audit, trail: openTrail({ store }) }
  return {
    ...kept,
    close: () => store.close(),
    keyring,
    directory,
    spool: openSpool({ ...kept, random }),
    submissions: openSubmissions(kept),
    quarantine: openQuarantine(kept),
    mailbox: openMailbox({ ...kept, readPart: async () => undefined }),
    record: openRecord(kept),
    apps: openApps({ ...kept, random }),
    activity: openActivity({ ...kept, random }),
    indexKey: async () => random.bytes(32),
  }
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** An operator at a keyboard: files by name, and a gateway that the commands open. */
export async function keyboard(files: Record<string, string | Uint8Array> = {}) {
  const gateway = await house()
  const config = settings.parse({ edge: { systems: { 'ehr-north': { host: 'ehr.clinic.example' } } } })
  const { operator } = openOperator(gateway, config)
  const written = new Map<string, { readonly text: string; readonly kind: string }>()
  async function run(...argv: string[]): Promise<Ran> {
    let [out, err] = ['', '']
    const context: Context = {
      print(text) {
        out += text
      },
      printError(text) {
        err += text
      },
      async readFile(path) {
        const file = files[path]
        if (file === undefined) throw new Error(`cannot read ${path}: ENOENT`)
        return typeof file === 'string' ? Buffer.from(file) : file
      },
      async writeFile(path, bytes, kind) {
        written.set(path, { text: Buffer.from(bytes).toString(), kind })
      },
      withOperator: (_, work) => work(operator),
    }
    const code = await runCommand(argv, context)
    return { code, out, err }
  }
  return { run, gateway, operator, written, files }
}

/** The operator's own process, over a folder of its own. The store outlives each command, as a disk would. */
export async function process(env: Record<string, string> = {}) {
  const gateway = await house()
  const cwd = mkdtempSync(join(tmpdir(), 'dg-cli-'))
  const opened: string[] = []
  const served: string[] = []
  async function run(...argv: string[]): Promise<Ran> {
    let [out, err] = ['', '']
    const home: Home = {
      version: '0.0.0',
      cwd,
      env,
      print(text) {
        out += text
      },
      printError(text) {
        err += text
      },
      createMasterKey: () => Buffer.from(random.bytes(32)).toString('base64'),
      async open({ config }) {
        opened.push(config.dataDir)
        return { kind: 'opened', operator: openOperator(gateway).operator, close: async () => undefined }
      },
      async serve({ config }) {
        served.push(config.dataDir)
        return 0
      },
      demo: async () => 0,
    }
    const code = await runCli(argv, home)
    return { code, out, err }
  }
  return { run, gateway, cwd, opened, served, remove: () => rmSync(cwd, { recursive: true, force: true }) }
}
