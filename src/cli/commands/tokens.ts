import type { Command } from 'commander'
import { readDuration } from '../../config/duration.js'
import { type TokenRecord, type TokenScope, tokenScopes } from '../../directory/directory.js'
import { actOnGateway, operatorName, orFail, type Session, sayDone } from '../command.js'
import { CommandFailed, exitCodes } from '../operator.js'
import { printRow, printRows, type Row } from '../table.js'

interface CreateOptions {
  readonly address: string
  readonly scope: readonly string[]
  readonly label: string
  readonly expires?: string
}

/** `token create|list|revoke`: who may use the API. */
export function tokenCommands(program: Command, session: Session): void {
  const token = program.command('token').description('tokens for the HTTP API')

  actOnGateway<CreateOptions>(
    token
      .command('create')
      .description('make a token; it is shown this once')
      .requiredOption('--address <address>', 'whose mail it opens, or * for the whole gateway')
      .requiredOption('--scope <scope...>', tokenScopes.join(', '))
      .option('--label <text>', 'what it is for', 'cli')
      .option('--expires <time>', 'such as 12h or 30d; without it, never'),
    session,
    async ({ directory, clock }, context, options) => {
      const scopes = options.scope.flatMap((scope) => scope.split(',')).map(scopeOf)
      const lifeMs = options.expires === undefined ? undefined : readDuration(options.expires)
      if (options.expires !== undefined && !lifeMs)
        throw new CommandFailed('--expires is a time such as 12h or 30d', exitCodes.usage)
      const expiry = lifeMs === undefined ? {} : { expiresAt: clock.now() + lifeMs }
      const { address, label } = options
      const made = orFail(await directory.tokens.create({ address, scopes, label, ...expiry }, operatorName))
      if (options.json) printRow(context, true, { ...tokenRow(made.token), secret: made.secret })
      else {
        context.print(`${made.secret}\n`)
        context.printError('This is the only time the token is shown; the gateway keeps its hash.\n')
      }
      return exitCodes.done
    },
  )

  actOnGateway(
    token.command('list').description('list them, without their secrets'),
    session,
    async ({ directory }, context, { json = false }) => {
      printRows(context, json, (await directory.tokens.list()).map(tokenRow), 'No tokens yet.')
      return exitCodes.done
    },
  )

  actOnGateway(
    token.command('revoke <id>').description('end one now'),
    session,
    async ({ directory }, context, options, [id = '']) => {
      orFail(await directory.tokens.revoke(id, operatorName))
      return sayDone(context, options, `Revoked ${id}.`, { revoked: id })
    },
  )
}

function scopeOf(text: string): TokenScope {
  const scope = tokenScopes.find((known) => known === text)
  if (!scope) throw new CommandFailed(`${text} is no scope; there are ${tokenScopes.join(', ')}`, exitCodes.usage)
  return scope
}

function tokenRow({ id, address, scopes, label, createdAt, expiresAt, revokedAt }: TokenRecord): Row {
  return { id, address, scopes, label, createdAt, expiresAt, revokedAt }
}
