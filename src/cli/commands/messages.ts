import type { Command } from 'commander'
import { readDuration } from '../../config/duration.js'
import { refusals } from '../../direct/refusal.js'
import { printable } from '../../observe/log.js'
import type { Quarantined } from '../../spool/quarantine.js'
import { actOnGateway, operatorName, type Session, sayDone } from '../command.js'
import { CommandFailed, exitCodes, type Operator } from '../operator.js'
import { printRow, printRows, type Row } from '../table.js'
import { queueCommands } from './queue.js'
import { count, printTrail, stepRow } from './trail.js'

/** `trace`, `quarantine`, `queue`: where a message is, and why. */
export function messageCommands(program: Command, session: Session): void {
  traceCommand(program, session)
  quarantineCommands(program, session)

  queueCommands(program, session)
}

function traceCommand(program: Command, session: Session): void {
  actOnGateway(
    program
      .command('trace <id>')
      .description('tell the life of a message step by step, by its spool id, mailbox id or Message-ID'),
    session,
    async ({ trail }, context, { json = false }, [id = '']) => {
      const found = await trailsOf(trail, id)
      if (found.length === 0) throw new CommandFailed(`no message is known as ${id}`)
      if (json) {
        const told = found.map(({ spoolId, steps }) => ({ spoolId, steps: steps.map(stepRow) }))
        context.print(`${JSON.stringify(told, null, 2)}\n`)
      } else for (const { spoolId, steps } of found) printTrail(context, spoolId, steps)
      return exitCodes.done
    },
  )
}

/** The trails of an id: a spool id, else the mailbox's id, else a Message-ID with or without its angle brackets. */
async function trailsOf(trail: Operator['trail'], id: string) {
  const bare = id.replace(/^<|>$/g, '')
  const names = [{ mailboxMessageId: id }, { messageId: `<${bare}>` }, { messageId: bare }]
  const spoolIds = new Set([id])
  for (const name of names) for (const spoolId of await trail.find(name)) spoolIds.add(spoolId)
  const trails = await Promise.all(
    [...spoolIds].map(async (spoolId) => ({ spoolId, steps: await trail.read(spoolId) })),
  )
  return trails.filter(({ steps }) => steps.length > 0)
}

function quarantineCommands(program: Command, session: Session): void {
  const quarantine = program.command('quarantine').description('messages that were refused after they were accepted')

  actOnGateway<{ readonly limit: string }>(
    quarantine.command('list').description('list them, newest first').option('--limit <number>', 'at most', '100'),
    session,
    async (operator, context, { json = false, limit }) => {
      printRows(context, json, await refusedRows(operator, count(limit, 100_000)), 'Nothing is in quarantine.')
      return exitCodes.done
    },
  )

  actOnGateway(
    quarantine.command('show <id>').description('tell why one was refused, for each recipient'),
    session,
    async ({ quarantine }, context, { json = false }, [id = '']) => {
      const found = await quarantine.get(id)
      if (!found) throw new CommandFailed(`nothing in quarantine has the id ${id}`)
      if (json) context.print(`${JSON.stringify(found, null, 2)}\n`)
      else {
        printRow(context, false, { ...quarantineRow(found), sha256: found.sha256, peer: found.envelope.peer.address })
        for (const { recipient, reason, detail } of found.refused)
          context.print(
            `\n${printable(`${recipient}: ${reason}${detail ? `, ${detail}` : ''}`)}\n  ${refusals[reason]?.help ?? ''}\n`,
          )
      }
      return exitCodes.done
    },
  )

  actOnGateway(
    quarantine
      .command('judge-again <id>')
      .description('queue one again for the recipients it was refused for, once what stood in its way is mended'),
    session,
    async ({ quarantine }, context, options, [id = '']) => {
      if (!(await quarantine.judgeAgain(id, operatorName)))
        throw new CommandFailed(`nothing in quarantine has the id ${id}`)
      return sayDone(context, options, `Queued ${id} again; \`direct-gateway trace ${id}\` tells what comes of it.`, {
        queued: id,
      })
    },
  )

  actOnGateway<{ readonly olderThan: string }>(
    quarantine
      .command('purge')
      .description('remove for good what was refused long ago')
      .requiredOption('--older-than <time>', 'such as 90d'),
    session,
    async ({ quarantine }, context, options) => {
      const olderThanMs = readDuration(options.olderThan)
      if (olderThanMs === undefined) throw new CommandFailed('--older-than is a time such as 90d', exitCodes.usage)
      const purged = await quarantine.purge(olderThanMs, operatorName)
      return sayDone(context, options, `Removed ${purged} messages.`, { purged })
    },
  )
}

async function refusedRows({ quarantine }: Operator, limit: number): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (let cursor: string | undefined; rows.length < limit; ) {
    const page = await quarantine.list({
      limit: Math.min(200, limit - rows.length),
      ...(cursor !== undefined && { cursor }),
    })
    if (page.kind === 'bad-cursor') throw new Error('the quarantine did not know its own cursor')
    rows.push(...page.entries.map(quarantineRow))
    if (page.next === undefined) break
    cursor = page.next
  }
  return rows
}

function quarantineRow({ spoolId, at, envelope, refused, sizeBytes, judgedAgain }: Quarantined): Row {
  const reasons = [...new Set(refused.map(({ reason }) => reason))]
  const recipients = refused.map(({ recipient }) => recipient)
  return { id: spoolId, at, from: envelope.mailFrom ?? '<>', recipients, reasons, sizeBytes, judgedAgain }
}
