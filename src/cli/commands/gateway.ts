import { mkdir, readdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Command, Option } from 'commander'
import { exampleFile, printConfig, schemaFile } from '../../config/document.js'
import { describeProblem, masterKeyFile } from '../../config/load.js'
import { act, operatorName, orFail, type Session, sayDone } from '../command.js'
import { CommandFailed, type Context, exitCodes, type GlobalOptions, type Home, type Settled } from '../operator.js'
import { settle } from '../settle.js'

/** `init`, `serve`, `demo`, `config`: the gateway as a whole. */
export function gatewayCommands(program: Command, session: Session): void {
  initCommand(program, session)

  act(
    program.command('serve').description('run the gateway until it is told to stop (SIGTERM)'),
    session,
    async (context, options) => {
      const home = homeOf(context)
      return home.serve(await settled(home, options))
    },
  )

  act<{ readonly once?: boolean; readonly connections?: boolean }>(
    program
      .command('demo')
      .description(
        'a gateway on this machine gets mail from a far side made of OpenSSL; all of it is made up and thrown away',
      )
      .option('--connections', 'show how applications, clinics and patients come to a record instead')
      .option('--once', 'end after the first conversation instead of waiting for Ctrl-C'),
    session,
    (context, { once = false, connections = false }) => homeOf(context).demo({ once, connections }),
  )

  configCommands(program, session)
}

interface InitOptions {
  readonly domain: string
  readonly address?: readonly string[]
  readonly kind: 'patient' | 'provider'
  readonly writeConfig?: string
}

function initCommand(program: Command, session: Session): void {
  const init = program
    .command('init')
    .description('begin: a data folder, its master key, a first domain')
    .requiredOption('--domain <domain>', 'the first domain to serve')
    .option('--address <address...>', 'addresses of it to serve')
    .addOption(new Option('--kind <kind>', 'whose they are').choices(['patient', 'provider']).default('patient'))
    .option('--write-config <file>', 'write a configuration file as well; nothing secret is in it')
  act<InitOptions>(init, session, async (context, options) => {
    // Run by a server, the folder and its key are there: it has them open.
    if (context.home) await prepare(context, context.home, options)
    return context.withOperator(options, async ({ directory }) => {
      const { domain } = orFail(await directory.domains.add(options.domain, operatorName)).domain
      for (const address of options.address ?? [])
        orFail(await directory.addresses.add(address, options.kind, operatorName))
      const facts = { domain, addresses: options.address ?? [] }
      return sayDone(context, options, nextSteps(domain, options), facts)
    })
  })
}

/** What may lie in a folder without being data: an empty volume's own folder, a configuration. */
const harmless = /^lost\+found$|\.ya?ml$/

/** The data folder (0700) and the master key (0600), where they are missing. Never a new key beside old data. */
async function prepare(context: Context, home: Home, options: InitOptions & GlobalOptions): Promise<void> {
  const { config, masterKey } = await settled(home, options)
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 })
  const file = masterKeyFile(config)
  if (masterKey === undefined && !(await exists(file))) {
    const others = (await readdir(config.dataDir)).filter((name) => !harmless.test(name))
    if (others.length > 0)
      throw new CommandFailed(
        `${config.dataDir} holds data, but its master key ${file} is missing: bring the key back, or take an empty folder`,
      )
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await context.writeFile(file, Buffer.from(`${home.createMasterKey()}\n`), 'secret')
    context.printError(`Made the master key ${file}. Keep a copy elsewhere: without it nothing here can be read.\n`)
  }
  if (options.writeConfig !== undefined) {
    await context.writeFile(options.writeConfig, Buffer.from(configFile(config.dataDir, file, options)), 'open')
    context.printError(`Wrote ${options.writeConfig}.\n`)
  }
}

function configFile(dataDir: string, file: string, { domain }: InitOptions): string {
  const own = [
    `dataDir: ${JSON.stringify(dataDir)}`,
    `hostname: ${JSON.stringify(domain)}`,
    'masterKey:',
    `  file: ${JSON.stringify(file)}`,
  ]
  return `${own.join('\n')}\n\n${exampleFile().replace(/^# yaml-language-server.*\n/, '')}`
}

function nextSteps(domain: string, { config, dataDir, writeConfig, address }: InitOptions & GlobalOptions): string {
  const file = writeConfig ?? config
  const where = file ? ` --config ${file}` : dataDir ? ` --data-dir ${dataDir}` : ''
  const command = (words: string) => `     direct-gateway ${words}${where}`
  return [
    `Serving ${domain}. Next:`,
    '  1. A key that never leaves the gateway, and its certificate, from your certification authority:',
    command(`key request --owner ${domain} --from hand --out ${domain}.csr`),
    command(`key accept --cert ${domain}.pem`),
    '  2. Whom to trust:',
    command(`anchor add anchors.pem --for ${domain}`),
    '  3. Run it, and send it mail:',
    command('serve'),
    '  4. A token for the API:',
    command(`token create --address ${address?.[0] ?? `someone@${domain}`} --scope messages:read`),
  ].join('\n')
}

function configCommands(program: Command, session: Session): void {
  const config = program.command('config').description('the configuration')

  act(config.command('check').description('say what is wrong with it'), session, async (context, options) => {
    await settled(homeOf(context), options)
    return sayDone(context, options, 'The configuration is in order.', { ok: true })
  })

  act(
    config.command('print').description('print what is in effect: defaults, file and environment; no secrets'),
    session,
    async (context, options) => {
      const { config } = await settled(homeOf(context), options)
      context.print(options.json ? `${JSON.stringify(config, null, 2)}\n` : printConfig(config))
      return exitCodes.done
    },
  )

  act(
    config.command('example').description('print a commented file with every setting at its default'),
    session,
    async (context) => {
      context.print(exampleFile())
      return exitCodes.done
    },
  )

  act(config.command('schema').description('print its JSON Schema, for editors'), session, async (context) => {
    context.print(schemaFile())
    return exitCodes.done
  })
}

async function settled(home: Home, options: GlobalOptions): Promise<Settled> {
  const outcome = await settle(home, options)
  if (outcome.kind === 'loaded') return outcome
  const words = outcome.problems.map((problem) => describeProblem(problem, outcome.file)).join('\n')
  throw new CommandFailed(words, exitCodes.usage)
}

function homeOf({ home }: Context): Home {
  if (!home) throw new CommandFailed('this command runs in your own process only', exitCodes.usage)
  return home
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}
