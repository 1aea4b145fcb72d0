import { type Command, Option } from 'commander'
import { type AuditField, type AuditQuery, auditFields } from '../../ports/audit.js'
import { actOnGateway, type Session, sayDone } from '../command.js'
import { CommandFailed, exitCodes } from '../operator.js'
import { printRows } from '../table.js'
import { count } from './trail.js'
import { headOf, wordsOf } from './upkeep.js'

interface ListOptions {
  readonly from?: string
  readonly to?: string
  readonly action?: string
  readonly actor?: string
  readonly subject?: string
  readonly outcome?: NonNullable<AuditQuery['outcome']>
  readonly sort: AuditField
  readonly descending?: boolean
  readonly limit: string
}

/** `audit list|verify`: what happened, and that nobody changed what is told of it. */
export function auditCommands(program: Command, session: Session): void {
  const audit = program.command('audit').description('the audit log')
  actOnGateway<ListOptions>(
    audit
      .command('list')
      .description('what happened: by time, by whom, to what')
      .option('--from <time>', 'RFC 3339, or a day such as 2026-03-01')
      .option('--to <time>', 'before this')
      .option('--action <word>', 'such as token.created, or api.* for all that begin so')
      .option('--actor <name>', 'system, operator, token:…, person:…; or with * at its end')
      .option('--subject <id>', 'an id or an address')
      .addOption(new Option('--outcome <outcome>', 'how it ended').choices(['success', 'refused', 'failed']))
      .addOption(new Option('--sort <field>', 'by what').choices([...auditFields]).default('at'))
      .option('--descending', 'the last first')
      .option('--limit <entries>', 'at most so many', '100'),
    session,
    async ({ audit }, context, { json = false, ...options }) => {
      const page = await audit.report(queryOf(options))
      if (page.kind === 'too-many')
        throw new CommandFailed(`More than ${page.most} entries match: narrow the times`, exitCodes.usage)
      const rows = page.entries.map(({ at, subject, sequence, action, actor, outcome, reason }) => ({
        ...{ at: new Date(at).toISOString(), sequence, action, actor, outcome, reason },
        subject: Object.entries(subject).map(([name, value]) => `${name}=${value}`),
      }))
      printRows(context, json, rows, 'Nothing matches.')
      return exitCodes.done
    },
  )

  actOnGateway<{ readonly knownHead?: readonly string[] }>(
    audit
      .command('verify')
      .description('walk the whole chain: a changed, missing or added entry breaks it')
      .option(
        '--known-head <sequence:link...>',
        'heads that were written down: without one, entries cut off at the end are not missed',
      ),
    session,
    async ({ audit }, context, { knownHead = [], ...options }) => {
      const verdict = await audit.verify(knownHead.map(headOf))
      if (verdict.kind === 'intact') {
        const facts = { ...verdict, head: wordsOf(verdict.head) }
        return sayDone(context, options, `Intact: ${verdict.entries} entries, head ${facts.head}.`, facts)
      }
      context.printError(`Broken at entry ${verdict.sequence}: ${verdict.detail}\n`)
      if (options.json) context.print(`${JSON.stringify(verdict)}\n`)
      return exitCodes.refused
    },
  )
}

/** Options as the report takes them; a usage error where a time is none. */
function queryOf({
  action,
  actor,
  subject,
  outcome,
  sort,
  descending = false,
  limit,
  ...times
}: ListOptions): AuditQuery {
  const from = timeOf(times.from, '--from')
  const to = timeOf(times.to, '--to')
  return {
    ...{ sort, descending, limit: count(limit, 1000) },
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    ...(action !== undefined && { action }),
    ...(actor !== undefined && { actor }),
    ...(subject !== undefined && { subject }),
    ...(outcome !== undefined && { outcome }),
  }
}

function timeOf(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined
  const at = Date.parse(text)
  if (Number.isNaN(at)) throw new CommandFailed(`${option} is a time such as 2026-03-01T08:00Z`, exitCodes.usage)
  return at
}
