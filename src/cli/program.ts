import { open, readFile, rm, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import process from 'node:process'
import { Command, CommanderError } from 'commander'
import { describeProblem } from '../config/load.js'
import type { Session } from './command.js'
import { accountCommands } from './commands/accounts.js'
import { appCommands } from './commands/apps.js'
import { auditCommands } from './commands/audit.js'
import { authorityCommands, expiryCommand } from './commands/authority.js'
import { bundleCommands } from './commands/bundles.js'
import { gatewayCommands } from './commands/gateway.js'
import { addressCommands, domainCommands } from './commands/identity.js'
import { keyCommands } from './commands/keys.js'
import { messageCommands } from './commands/messages.js'
import { ruleCommands } from './commands/rules.js'
import { tokenCommands } from './commands/tokens.js'
import { trustCommands } from './commands/trust.js'
import { upkeepCommands } from './commands/upkeep.js'
import { webhookCommands } from './commands/webhooks.js'
import { sendCommand } from './control.js'
import { type ByteSink, CommandFailed, type Context, cliLimits, exitCodes, type Home } from './operator.js'
import { settle } from './settle.js'

/** Every command, told where it runs. */
export function buildProgram(session: Session): Command {
  const { context } = session
  const program = new Command('direct-gateway')
    .description('A Direct Project secure-messaging gateway with a patient Message Center.')
    .exitOverride()
    .configureOutput({ writeOut: (text) => context.print(text), writeErr: (text) => context.printError(text) })
    .showHelpAfterError('(add --help for what the command takes)')
    .option('-c, --config <file>', 'configuration file; also DIRECT_GATEWAY_CONFIG')
    .option('--data-dir <folder>', 'data folder, over what the configuration says')
    .option('--json', 'print JSON')
  if (context.home) program.version(context.home.version)
  gatewayCommands(program, session)
  auditCommands(program, session)
  domainCommands(program, session)
  addressCommands(program, session)
  keyCommands(program, session)
  authorityCommands(program, session)
  expiryCommand(program, session)
  trustCommands(program, session)
  bundleCommands(program, session)
  ruleCommands(program, session)
  tokenCommands(program, session)
  accountCommands(program, session)
  appCommands(program, session)
  messageCommands(program, session)
  webhookCommands(program, session)
  upkeepCommands(program, session)
  return program
}

/** Runs one command line, without the program's name; answers the exit code and never throws for what the operator wrote. */
export async function runCommand(argv: readonly string[], context: Context): Promise<number> {
  const session: Session = { context, exit: exitCodes.done }
  try {
    await buildProgram(session).parseAsync([...argv], { from: 'user' })
    return session.exit
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage
    context.printError(`error: ${error instanceof Error ? error.message : String(error)}\n`)
    return error instanceof CommandFailed ? error.code : exitCodes.refused
  }
}

/**
 * The command line of the operator's own process. Work on the gateway goes to the one that runs on the data folder, over
 * its control socket; where none runs, the store is opened here for as long as the command takes.
 */
export async function runCli(argv: readonly string[], home: Home): Promise<number> {
  const { print, printError, cwd } = home
  const begun: OwnFile[] = []
  const files: Pick<Context, 'readFile' | 'writeFile' | 'createFile' | 'progress'> = {
    async createFile(path) {
      const file = path === '-' ? standardOutput() : await beginFile(resolve(cwd, path), path)
      begun.push(file)
      return file
    },
    progress: (words) => {
      if (home.watched) printError(`\r\x1b[K${words}`)
      else if (words !== '' && argv.includes('--progress')) printError(`${words}\n`)
    },
    readFile: (path) => readOwnFile(resolve(cwd, path), path),
    writeFile: (path, bytes, kind) => writeNewFile(resolve(cwd, path), path, bytes, kind),
  }
  const context: Context = {
    ...files,
    print,
    printError,
    home,
    async withOperator(options, work) {
      const settled = await settle(home, options)
      if (settled.kind === 'problems') {
        const words = settled.problems.map((problem) => describeProblem(problem, settled.file)).join('\n')
        throw new CommandFailed(words, exitCodes.usage)
      }
      const sent = await sendCommand(settled.config.dataDir, argv, { print, printError, ...files })
      if (sent.kind === 'done') return sent.exit
      if (sent.kind === 'failed') throw new CommandFailed(sent.detail)
      const opened = await home.open(settled)
      if (opened.kind === 'refused') throw new CommandFailed(opened.detail)
      try {
        return await work(opened.operator)
      } finally {
        await opened.close()
      }
    },
  }
  try {
    return await runCommand(argv, context)
  } finally {
    // Half a file is worse than none: it looks like one.
    for (const file of begun) await file.discard()
  }
}

interface OwnFile extends ByteSink {
  /** Removes the file where it was not ended. */
  discard(): Promise<void>
}

/** A new file for its owner alone; synced now and then, and at its end with its folder. */
async function beginFile(path: string, asGiven: string): Promise<OwnFile> {
  const failing = (error: unknown) =>
    new CommandFailed(`cannot write ${asGiven}: ${(error as NodeJS.ErrnoException).code ?? error}`)
  const file = await open(path, 'wx', 0o600).catch((error: unknown) => Promise.reject(failing(error)))
  let ended = false
  let unsynced = 0
  return {
    async write(bytes) {
      try {
        for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
        unsynced += bytes.length
        if (unsynced < cliLimits.syncBytes) return
        await file.datasync()
        unsynced = 0
      } catch (error) {
        throw failing(error)
      }
    },
    async end() {
      try {
        await file.sync()
        await file.close()
        const folder = await open(dirname(path), 'r')
        await folder.sync().finally(() => folder.close())
        ended = true
      } catch (error) {
        throw failing(error)
      }
    },
    async discard() {
      if (ended) return
      await file.close().catch(() => undefined)
      await rm(path, { force: true })
    },
  }
}

function standardOutput(): OwnFile {
  return {
    write: (bytes) =>
      new Promise((done, fail) => {
        process.stdout.write(bytes, (error) =>
          error ? fail(new CommandFailed(`cannot write -: ${error.message}`)) : done(),
        )
      }),
    end: async () => undefined,
    discard: async () => undefined,
  }
}

async function readOwnFile(path: string, asGiven: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path)
    if (size > cliLimits.fileBytes) throw new CommandFailed(`${asGiven} is larger than ${cliLimits.fileBytes} bytes`)
    return new Uint8Array(await readFile(path))
  } catch (error) {
    if (error instanceof CommandFailed) throw error
    throw new CommandFailed(`cannot read ${asGiven}: ${(error as NodeJS.ErrnoException).code ?? error}`)
  }
}

/** A file that did not exist before: an older key or request is never overwritten. */
async function writeNewFile(path: string, asGiven: string, bytes: Uint8Array, kind: 'open' | 'secret'): Promise<void> {
  try {
    const file = await open(path, 'wx', kind === 'secret' ? 0o600 : 0o644)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (error) {
    throw new CommandFailed(`cannot write ${asGiven}: ${(error as NodeJS.ErrnoException).code ?? error}`)
  }
}
