import type { Command } from 'commander'
import { act, actOnGateway, operatorName, type Session, sayDone } from '../command.js'
import { type AuditHead, CommandFailed, type Context, exitCodes, type Home, type UpkeepFinding } from '../operator.js'
import { settledOf } from '../settle.js'
import { printRow, printRows } from '../table.js'

const progressOption = ['--progress', 'say on stderr how far it is, also where nobody watches'] as const

/** `verify`, `backup`, `restore`, `stats`, `migrate`: looking after what lasts. */
export function upkeepCommands(program: Command, session: Session): void {
  verifyCommand(program, session)
  backupCommand(program, session)
  restoreCommand(program, session)
  statsCommand(program, session)
  migrateCommand(program, session)
}

function verifyCommand(program: Command, session: Session): void {
  actOnGateway<{ readonly quarantine?: boolean; readonly knownHead?: readonly string[] }>(
    program
      .command('verify')
      .description('read every row and every blob, beside a running gateway too, and tell what is not as it should be')
      .option('--quarantine', 'move damaged rows to a file in quarantined-rows/ of the data folder')
      .option('--known-head <sequence:link...>', 'heads of the audit log that were written down: it must contain them')
      .option(...progressOption),
    session,
    async ({ upkeep }, context, { json = false, quarantine = false, knownHead = [] }) => {
      const findings: UpkeepFinding[] = []
      const verified = await upkeep.verify(
        { known: knownHead.map(headOf), ...(quarantine && { setAside: operatorName }) },
        (finding) => {
          if (findings.length < shownFindings) findings.push(finding)
        },
        progressOf(context),
      )
      endProgress(context)
      const { head, aside, ...counts } = verified
      const facts = { ...counts, head: wordsOf(head), ...(aside && { setAside: aside.rows, file: aside.file }) }
      if (json)
        context.print(`${JSON.stringify({ whole: counts.findings === 0, ...facts, list: findings }, null, 2)}\n`)
      else {
        if (findings.length > 0) {
          const rows = findings.map(({ kind, family, row, detail }) => ({ kind, family, row, detail }))
          printRows(context, false, rows, '')
        }
        printRow(context, false, facts)
      }
      if (counts.findings === 0) return exitCodes.done
      context.printError(`Not whole: ${counts.findings} findings.\n`)
      return exitCodes.refused
    },
  )
}

/** More than anybody reads; all are counted. */
const shownFindings = 10_000

/** Reads a head that was written down. Throws a usage error for what is none. */
export function headOf(text: string): AuditHead {
  const [, sequence, link] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? []
  if (sequence === undefined || link === undefined)
    throw new CommandFailed('--known-head is a sequence number, a colon and 64 hex digits', exitCodes.usage)
  return { sequence: Number(sequence), link }
}

/** A head as it is written down. */
export const wordsOf = ({ sequence, link }: AuditHead) => `${sequence}:${link}`

function backupCommand(program: Command, session: Session): void {
  actOnGateway<{ readonly to: string }>(
    program
      .command('backup')
      .description('write everything of one moment to one file, beside a running gateway too; never the master key')
      .requiredOption('--to <file>', 'a new file, or - for standard output')
      .option(...progressOption),
    session,
    async ({ upkeep }, context, options) => {
      if (!context.createFile) throw new CommandFailed('this command writes files in your own process only')
      const sink = await context.createFile(options.to)
      const made = await upkeep.backup(sink, operatorName, progressOf(context))
      endProgress(context)
      if (made.kind === 'refused') throw new CommandFailed(made.detail)
      const { kind: _, ...facts } = made
      const sentence = `Backed up ${made.rows} rows and ${made.blobs} blobs: ${made.bytes} bytes, digest ${made.digest}.`
      // Standard output is the backup itself.
      if (options.to !== '-') return sayDone(context, options, sentence, { ...facts, file: options.to })
      context.printError(`${sentence}\n`)
      return exitCodes.done
    },
  )
}

function restoreCommand(program: Command, session: Session): void {
  act<{ readonly from: string }>(
    program
      .command('restore')
      .description('prove a backup, put it into an empty home, and verify it; no gateway may run there')
      .requiredOption('--from <file>', 'the backup, or a file of quarantined-rows/')
      .option(...progressOption),
    session,
    async (context, options) => {
      const home = homeOf(context)
      if (!home.restore) throw new CommandFailed('this build restores nothing')
      const outcome = await home.restore(await settledOf(home, options), options.from, progressOf(context))
      endProgress(context)
      if (outcome.kind === 'refused') throw new CommandFailed(outcome.detail)
      const sentence =
        outcome.kind === 'restored'
          ? `Restored ${outcome.rows} rows and ${outcome.blobs} blobs of ${outcome.madeAt}; all is whole.`
          : `Put back ${outcome.back} of ${outcome.rows} rows.`
      return sayDone(context, options, sentence, outcome)
    },
  )
}

function statsCommand(program: Command, session: Session): void {
  actOnGateway(
    program
      .command('stats')
      .description('count rows, bytes, queues and blobs, and tell the head of the audit log to be written down')
      .option(...progressOption),
    session,
    async ({ upkeep }, context, { json = false }) => {
      const found = await upkeep.stats(progressOf(context))
      endProgress(context)
      const queues = found.queues.map(({ queue, jobs, bytes, oldestDueAt, mostAttempts }) => {
        return { queue, jobs, bytes, oldestDueAt, mostAttempts }
      })
      if (json) {
        context.print(`${JSON.stringify({ ...found, queues, head: wordsOf(found.head) }, null, 2)}\n`)
        return exitCodes.done
      }
      printRows(
        context,
        false,
        found.families.map((one) => ({ ...one })),
        'Nothing is stored.',
      )
      context.print('\n')
      printRows(context, false, queues, 'Nothing waits.')
      context.print('\n')
      const { held, stored, bytes, orphans } = found.blobs
      printRow(context, false, {
        rows: found.rows,
        rowBytes: found.bytes,
        blobs: stored,
        blobBytes: bytes,
        blobsHeld: held,
        blobOrphans: orphans,
        auditHead: wordsOf(found.head),
      })
      return exitCodes.done
    },
  )
}

function migrateCommand(program: Command, session: Session): void {
  const migrate = program
    .command('migrate')
    .description('move everything to the store and blobs of another configuration')
    .option('--to <target>', 'postgres or level: this configuration with that store; or another configuration file')
    .option('--undo-mark', 'make a store the truth again that was moved away')
    .option(...progressOption)
  act<{ readonly to?: string; readonly undoMark?: boolean }>(migrate, session, async (context, options) => {
    const { to, undoMark = false } = options
    if ((to === undefined) === !undoMark) throw new CommandFailed('give --to, or --undo-mark', exitCodes.usage)
    if (to !== undefined)
      return context.withOperator(options, async ({ upkeep }) => {
        const text = storeKinds.includes(to) ? undefined : Buffer.from(await context.readFile(to)).toString()
        const outcome = await upkeep.migrate({ name: to, ...(text !== undefined && { text }) }, progressOf(context))
        endProgress(context)
        if (outcome.kind === 'refused') throw new CommandFailed(outcome.detail)
        return sayDone(context, options, movedWords(outcome, to), outcome)
      })
    const home = homeOf(context)
    if (!(await home.undoMark?.(await settledOf(home, options)))) throw new CommandFailed('this store was not moved')
    return sayDone(context, options, 'This store is the truth again.', { undone: true })
  })
}

/** What `--to` takes beside files. */
const storeKinds = ['level', 'postgres']

function movedWords(outcome: { kind: 'moved' | 'copied'; rows: number; blobs: number }, to: string): string {
  const counts = `${outcome.rows} rows and ${outcome.blobs} blobs`
  return outcome.kind === 'moved'
    ? `Moved: ${counts} are equal on both sides. Start the gateway with ${storeKinds.includes(to) ? `store.kind ${to}` : `--config ${to}`}; it does not start on the old store any more.`
    : `Copied ${counts} so far. Stop the gateway and run the same command again: it copies what changed, compares and ends.`
}

function progressOf({ progress }: Context): (words: string) => void {
  return (words) => progress?.(words)
}

/** Leaves the line of the progress free again. */
function endProgress({ progress }: Context): void {
  progress?.('')
}

function homeOf({ home }: { readonly home?: Home }): Home {
  if (!home) throw new CommandFailed('this command runs in your own process only', exitCodes.usage)
  return home
}
