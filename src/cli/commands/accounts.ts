import type { Command } from 'commander'
import type { EdgeAccount } from '../../directory/directory.js'
import { actOnGateway, operatorName, orFail, type Session, sayDone } from '../command.js'
import { CommandFailed, type Context, exitCodes, type GlobalOptions } from '../operator.js'
import { printRow, printRows, type Row } from '../table.js'

interface AddOptions {
  readonly sender?: readonly string[]
  readonly reads?: string
}

interface ChangeOptions extends AddOptions {
  readonly readsNothing?: boolean
}

/** `account add|list|show|change|renew|enable|disable|remove`: systems of our own clinics that hand mail in. */
export function accountCommands(program: Command, session: Session): void {
  const account = program.command('account').description('accounts of edge systems (EHRs) that submit mail over SMTP')

  actOnGateway<AddOptions>(
    account
      .command('add <name>')
      .description('make one; its secret is shown this once')
      .option('--sender <owner...>', 'domains or addresses it may send as; a domain stands for all its addresses')
      .option('--reads <address>', 'whose mailbox it reads over IMAP and POP3'),
    session,
    async ({ directory }, context, options, [name = '']) => {
      const { sender = [], reads } = options
      const wanted = { name, senders: split(sender), ...(reads !== undefined && { reads }) }
      return showSecret(context, options, orFail(await directory.accounts.create(wanted, operatorName)))
    },
  )

  actOnGateway(
    account.command('list').description('list them, without their secrets'),
    session,
    async ({ directory }, context, { json = false }) => {
      printRows(context, json, (await directory.accounts.list()).map(accountRow), 'No accounts yet.')
      return exitCodes.done
    },
  )

  actOnGateway(
    account.command('show <name>').description('show one, without its secret'),
    session,
    async ({ directory }, context, { json = false }, [name = '']) => {
      const found = await directory.accounts.get(name)
      if (!found) throw new CommandFailed(`There is no account ${name}.`)
      printRow(context, json, accountRow(found))
      return exitCodes.done
    },
  )

  actOnGateway<ChangeOptions>(
    account
      .command('change <name>')
      .description('change what it may send as and read; its secret stays')
      .option('--sender <owner...>', 'domains or addresses it may send as, in place of those before')
      .option('--reads <address>', 'whose mailbox it reads over IMAP and POP3')
      .option('--reads-nothing', 'it reads no mailbox any more'),
    session,
    async ({ directory }, context, options, [name = '']) => {
      const { sender, reads, readsNothing = false } = options
      if (sender === undefined && reads === undefined && !readsNothing)
        throw new CommandFailed('say what changes: --sender, --reads or --reads-nothing', exitCodes.usage)
      if (reads !== undefined && readsNothing)
        throw new CommandFailed('--reads and --reads-nothing exclude each other', exitCodes.usage)
      if (reads !== undefined || readsNothing) orFail(await directory.accounts.setReads(name, reads, operatorName))
      if (sender !== undefined) orFail(await directory.accounts.setSenders(name, split(sender), operatorName))
      return sayDone(context, options, `Changed ${name}.`, { changed: name })
    },
  )

  actOnGateway(
    account.command('renew <name>').description('give it another secret, shown this once; the old one ends now'),
    session,
    async ({ directory }, context, options, [name = '']) =>
      showSecret(context, options, orFail(await directory.accounts.renew(name, operatorName))),
  )

  for (const [verb, disabled] of [
    ['disable', true],
    ['enable', false],
  ] as const)
    actOnGateway(
      account.command(`${verb} <name>`).description(disabled ? 'let it in no more, and keep it' : 'let it in again'),
      session,
      async ({ directory }, context, options, [name = '']) => {
        orFail(await directory.accounts.setDisabled(name, disabled, operatorName))
        return sayDone(context, options, `${disabled ? 'Disabled' : 'Enabled'} ${name}.`, { [`${verb}d`]: name })
      },
    )

  actOnGateway(
    account.command('remove <name>').description('remove one; what it sent stays with its senders'),
    session,
    async ({ directory }, context, options, [name = '']) => {
      orFail(await directory.accounts.remove(name, operatorName))
      return sayDone(context, options, `Removed ${name}.`, { removed: name })
    },
  )
}

function split(owners: readonly string[]): readonly string[] {
  return owners.flatMap((owner) => owner.split(',')).filter((owner) => owner !== '')
}

function showSecret(
  context: Context,
  { json = false }: GlobalOptions,
  { account, secret }: { readonly account: EdgeAccount; readonly secret: string },
): number {
  if (json) printRow(context, true, { ...accountRow(account), secret })
  else {
    context.print(`${secret}\n`)
    context.printError('This is the only time the secret is shown; the gateway keeps its hash.\n')
  }
  return exitCodes.done
}

function accountRow({ name, senders, reads, disabled, secretId, createdAt, renewedAt }: EdgeAccount): Row {
  return { name, state: disabled ? 'disabled' : 'enabled', senders, reads, secretId, createdAt, renewedAt }
}
