import type { Command } from 'commander'
import { type App, type AppRequest, appKinds, appPowers, type Registered } from '../../consent/consent.js'
import { type AppRefusal, appProblems } from '../../consent/problem.js'
import { actOnGateway, operatorName, type Session, sayDone } from '../command.js'
import { CommandFailed, type Context, exitCodes, type GlobalOptions } from '../operator.js'
import { printRow, printRows, type Row } from '../table.js'

interface AppOptions {
  readonly name?: string
  readonly master?: string
  readonly rules?: string
  readonly jwks?: string
  readonly jwksUri?: string
  readonly redirect?: readonly string[]
  readonly may?: readonly string[]
  readonly network?: readonly string[]
  readonly url?: string
  readonly logoUrl?: string
  readonly privacyUrl?: string
  readonly termsUrl?: string
  readonly successMessage?: string
  readonly webhook?: string
}

/** `app add|list|show|update|disable|enable|rotate-secret`: applications that people may grant access to. */
export function appCommands(program: Command, session: Session): void {
  const app = program.command('app').description('applications that people may grant access to their records')

  actOnGateway<AppOptions>(
    described(
      app
        .command('add <kind> <name>')
        .description(`register one (${appKinds.join(', ')}); the secret of a webhook is shown this once`)
        .option('--master <app>', 'the master under which it stands'),
    ),
    session,
    async (operator, context, options, [kind = '', name = '']) => {
      const known = appKinds.find((one) => one === kind)
      if (!known) throw new CommandFailed(`${kind} is no kind; there are ${appKinds.join(', ')}`, exitCodes.usage)
      const { master } = options
      const request = {
        ...(await requestOf(context, options)),
        kind: known,
        name,
        ...(master !== undefined && { master }),
      }
      return showRegistered(context, options, orFail(await operator.apps.register(request, operatorName)))
    },
  )

  actOnGateway<{ readonly master?: string }>(
    app.command('list').description('list them').option('--master <app>', 'only the children of this one'),
    session,
    async (operator, context, { json = false, master }) => {
      const rows: Row[] = []
      for (let after: string | undefined; ; ) {
        const place = { ...(after !== undefined && { after }), ...(master !== undefined && { master }) }
        const page = await operator.apps.list({ limit: 200, ...place })
        rows.push(...page.apps.map(lineOf))
        if (page.next === undefined) break
        after = page.next
      }
      printRows(context, json, rows, 'No applications yet.')
      return exitCodes.done
    },
  )

  actOnGateway(
    app.command('show <app>').description('show one, with its rules'),
    session,
    async (operator, context, { json = false }, [id = '']) => {
      const found = await operator.apps.get(id)
      if (!found) throw new CommandFailed(`There is no application ${id}.`)
      if (json) context.print(`${JSON.stringify(found, null, 2)}\n`)
      else printRow(context, false, rowOf(found))
      return exitCodes.done
    },
  )

  actOnGateway<AppOptions>(
    described(
      app
        .command('update <app>')
        .description('change what is named; an empty value takes away')
        .option('--name <name>', 'what people read'),
    ),
    session,
    async (operator, context, options, [id = '']) => {
      const { name } = options
      const request = { ...(await requestOf(context, options)), ...(name !== undefined && { name }) }
      const change = Object.fromEntries(
        Object.entries(request).map(([key, value]) => [key, value === '' ? null : value]),
      )
      if (Object.keys(change).length === 0) throw new CommandFailed('say what changes', exitCodes.usage)
      return showRegistered(context, options, orFail(await operator.apps.change(id, change, operatorName)))
    },
  )

  for (const [verb, state, words] of [
    ['disable', 'disabled', 'end all its access, and that of its children, now'],
    ['enable', 'active', 'let it in again'],
  ] as const)
    actOnGateway(
      app.command(`${verb} <app>`).description(words),
      session,
      async (operator, context, options, [id = '']) => {
        orFail(await operator.apps.setState(id, state, operatorName))
        return sayDone(context, options, `${verb === 'disable' ? 'Disabled' : 'Enabled'} ${id}.`, { [`${verb}d`]: id })
      },
    )

  actOnGateway(
    app
      .command('rotate-secret <app>')
      .description('give its webhook another secret, shown this once; the old one ends now'),
    session,
    async (operator, context, options, [id = '']) =>
      showRegistered(context, options, orFail(await operator.apps.rotateSecret(id, operatorName))),
  )
}

function described(command: Command): Command {
  return command
    .option('--rules <file>', 'JSON with its online and offline rules')
    .option('--jwks <file>', 'JSON with its public keys (RFC 7517)')
    .option('--jwks-uri <url>', 'where its public keys are')
    .option('--redirect <uri...>', 'where it is come back to, exactly')
    .option('--may <power...>', appPowers.join(', '))
    .option('--network <cidr...>', 'networks that its own requests come from')
    .option('--url <url>', 'its page')
    .option('--logo-url <url>', 'its logo')
    .option('--privacy-url <url>', 'its privacy statement')
    .option('--terms-url <url>', 'its terms')
    .option('--success-message <text>', 'shown after a pickup')
    .option('--webhook <url>', 'where it is told of changes')
}

/** What the options say; values are checked where they are registered. */
async function requestOf(context: Context, options: AppOptions): Promise<Partial<AppRequest>> {
  const { rules, jwks, jwksUri, redirect, may, network, url, logoUrl, privacyUrl, termsUrl, successMessage, webhook } =
    options
  return {
    ...(rules !== undefined && { rules: await jsonIn<NonNullable<AppRequest['rules']>>(context, rules) }),
    ...(jwks !== undefined && { jwks: await jsonIn<NonNullable<AppRequest['jwks']>>(context, jwks) }),
    ...(jwksUri !== undefined && { jwksUri }),
    ...(redirect && { redirectUris: redirect }),
    ...(may && { may: may.map(powerOf) }),
    ...(network && { networks: network }),
    ...(url !== undefined && { url }),
    ...(logoUrl !== undefined && { logoUrl }),
    ...(privacyUrl !== undefined && { privacyUrl }),
    ...(termsUrl !== undefined && { termsUrl }),
    ...(successMessage !== undefined && { successMessage }),
    ...(webhook !== undefined && { webhookUrl: webhook }),
  }
}

function powerOf(text: string) {
  const power = appPowers.find((one) => one === text)
  if (!power) throw new CommandFailed(`${text} is no power; there are ${appPowers.join(', ')}`, exitCodes.usage)
  return power
}

async function jsonIn<T>(context: Context, path: string): Promise<T> {
  try {
    return JSON.parse(Buffer.from(await context.readFile(path)).toString('utf8')) as T
  } catch (error) {
    if (error instanceof SyntaxError) throw new CommandFailed(`${path} is not JSON`)
    throw error
  }
}

function orFail<T extends { readonly kind: string }>(outcome: T | AppRefusal): T {
  if (outcome.kind !== 'refused') return outcome as T
  const { problem, faults } = outcome as AppRefusal
  const each = faults.map(({ where, detail }) => `\n  ${where}: ${detail}`).join('')
  throw new CommandFailed(`${appProblems[problem]}${each}`)
}

function showRegistered(context: Context, { json = false }: GlobalOptions, { app, webhookSecret }: Registered): number {
  printRow(context, json, { ...rowOf(app), ...(webhookSecret !== undefined && { webhookSecret }) })
  if (webhookSecret !== undefined)
    context.printError('This is the only time the secret is shown; the gateway keeps it sealed.\n')
  return exitCodes.done
}

function lineOf({ id, kind, name, state, master, createdAt }: App): Row {
  return { id, kind, name, state, master, createdAt }
}

function rowOf(app: App): Row {
  const { rules, redirectUris, may, networks, jwks, jwksUri, url, webhook } = app
  const names = (set: 'online' | 'offline') => rules[set].map(({ name, optional }) => (optional ? `[${name}]` : name))
  return {
    ...lineOf(app),
    ...{ online: names('online'), offline: names('offline'), redirectUris, may, networks },
    ...{ keys: jwks?.keys.length, jwksUri, url, webhook: webhook?.url },
  }
}
