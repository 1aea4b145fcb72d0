import type { Command } from 'commander'
import { readDuration } from '../../config/duration.js'
import type { ReplayFrom } from '../../ports/webhooks.js'
import { actOnGateway, operatorName, type Session, sayDone } from '../command.js'
import { CommandFailed, exitCodes } from '../operator.js'
import { printRows } from '../table.js'

/** `webhook list|test|pause|resume|replay`: programs that are told what happens to messages. */
export function webhookCommands(program: Command, session: Session): void {
  const webhook = program.command('webhook').description('programs that are told what happens to messages')

  actOnGateway(
    webhook.command('list').description('list them, and how far each has come'),
    session,
    async (operator, context, { json = false }) => {
      const standings = await operator.webhooks.list()
      printRows(
        context,
        json,
        standings.map(({ steps, ...standing }) => ({ ...standing, ...(steps && { steps: [...steps] }) })),
        'No webhooks are configured.',
      )
      return exitCodes.done
    },
  )

  actOnGateway(
    webhook.command('test <name>').description('send it a signed request that is no event, and tell what it answers'),
    session,
    async (operator, context, options, [name = '']) => {
      const outcome = known(await operator.webhooks.test(name, operatorName), name)
      if (outcome.kind !== 'taken') throw new CommandFailed(`${name}: ${outcome.detail}`)
      return sayDone(context, options, `${name} ${outcome.detail}.`, { tested: name, detail: outcome.detail })
    },
  )

  actOnGateway(
    webhook.command('pause <name>').description('tell it nothing until it is resumed; what happens meanwhile waits'),
    session,
    async (operator, context, options, [name = '']) => {
      known(await operator.webhooks.pause(name, operatorName), name)
      return sayDone(context, options, `Paused ${name}.`, { paused: name })
    },
  )

  actOnGateway(
    webhook.command('resume <name>').description('go on where it was, at once; also for one that fails, or was gone'),
    session,
    async (operator, context, options, [name = '']) => {
      known(await operator.webhooks.resume(name, operatorName), name)
      return sayDone(context, options, `Resumed ${name}.`, { resumed: name })
    },
  )

  actOnGateway<{ readonly from: string }>(
    webhook
      .command('replay <name>')
      .description('tell it again what it was told before, and go on from there')
      .requiredOption(
        '--from <place>',
        'sequence number of an event, a time, or how long ago: 4711, 2026-01-31T12:00Z, 2h',
      ),
    session,
    async (operator, context, options, [name = '']) => {
      const from = placeOf(options.from, operator.clock.now())
      const done = known(await operator.webhooks.replay(name, from, operatorName), name)
      const sentence = `Telling ${name} again from event ${done.from} on: ${done.events} so far.`
      return sayDone(context, options, sentence, { replayed: name, from: done.from, events: done.events })
    },
  )
}

function known<T extends { readonly kind: string }>(outcome: T, name: string): Exclude<T, { kind: 'unknown' }> {
  if (outcome.kind === 'unknown') throw new CommandFailed(`no webhook ${name} is configured`)
  return outcome as Exclude<T, { kind: 'unknown' }>
}

function placeOf(text: string, now: number): ReplayFrom {
  if (/^[1-9]\d{0,14}$/.test(text)) return { kind: 'sequence', sequence: Number(text) }
  const agoMs = readDuration(text)
  if (agoMs !== undefined) return { kind: 'time', at: now - agoMs }
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at))
    throw new CommandFailed('--from is 4711 (an event), 2026-01-31T12:00Z (a time) or 2h (ago)', exitCodes.usage)
  return { kind: 'time', at }
}
