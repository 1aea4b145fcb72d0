import type { Command } from 'commander'
import type { QueueFilter, Queues } from '../../pipeline/queue.js'
import { type QueueAction, queueNames } from '../../pipeline/queue-rules.js'
import { type QueuedMail, type QueueState, queueStates } from '../../pipeline/queued.js'
import { outboundQueue } from '../../spool/outbound.js'
import { actOnGateway, operatorName, type Session, sayDone } from '../command.js'
import { CommandFailed, type Context, exitCodes, type Operator } from '../operator.js'
import { printRow, printRows, type Row } from '../table.js'
import { count, printTrail, stepRow } from './trail.js'

interface ListOptions {
  readonly limit: string
  readonly queue?: string
  readonly domain?: string
  readonly recipient?: string
  readonly state?: string
  readonly all?: boolean
}

interface ActOptions {
  readonly queue?: string
  readonly domain?: string
  readonly reason?: string
}

/** `queue`: what waits, and what an operator may do to it. */
export function queueCommands(program: Command, session: Session): void {
  const queue = program.command('queue').description('what waits to be done, and what is done to it')
  const named = `one of ${queueNames.join(', ')}`

  actOnGateway<ListOptions>(
    queue
      .command('list')
      .description('list it queue by queue, in order of due time')
      .option('--queue <name>', named)
      .option('--domain <domain>', 'what goes to this domain')
      .option('--recipient <address>', 'what goes to this address')
      .option('--state <state>', `one of ${queueStates.join(', ')}; held: a worker has it now`)
      .option('--all', 'deadlines and upkeep too')
      .option('--limit <number>', 'at most', '100'),
    session,
    async (operator, context, { json = false, limit, ...options }) => {
      const most = count(limit, 10_000)
      const rows = await listed(operator.queues, filterOf(options), most, operator.clock.now(), json)
      printRows(context, json, rows, 'Nothing waits.')
      return exitCodes.done
    },
  )

  actOnGateway<{ readonly queue?: string }>(
    queue.command('show <id>').description('tell what one is, and its life so far').option('--queue <name>', named),
    session,
    async (operator, context, { json = false, queue }, [id = '']) => {
      const { queues } = operator
      const place = await placeOf(queues, id, checkedQueue(queue))
      const shown = await queues.show(place, id)
      if (!shown) throw nothingNamed(id)
      const row = rowOf(shown.mail, operator.clock.now(), json)
      if (json) context.print(`${JSON.stringify({ ...shown.mail, steps: shown.steps.map(stepRow) }, null, 2)}\n`)
      else {
        printRow(context, false, row)
        if (shown.mail.trail !== undefined && shown.steps.length > 0) printTrail(context, shown.mail.trail, shown.steps)
      }
      return exitCodes.done
    },
  )

  for (const [action, words] of Object.entries(actions) as [QueueAction, (typeof actions)[QueueAction]][]) {
    const command = queue
      .command(`${action} [id]`)
      .description(words.does)
      .option('--queue <name>', `${named}; for a domain ${outboundQueue} by default`)
      .option('--domain <domain>', 'everything that goes to this domain now')
    const reason = 'kept in the audit log and the trail'
    if (action === 'cancel') command.requiredOption('--reason <text>', reason)
    else command.option('--reason <text>', reason)
    actOnGateway<ActOptions>(command, session, (operator, context, options, [id]) =>
      acted(operator, context, action, options, id),
    )
  }
}

const actions = {
  hold: { does: 'put mail on hold: nothing is tried until it is released', done: 'Put on hold' },
  release: { does: 'let go of mail on hold; it is tried at once', done: 'Released' },
  retry: { does: 'try now, on hold or not', done: 'To be tried at once' },
  cancel: { does: 'never try again: the sender of a message is told that it failed', done: 'Cancelled' },
} as const satisfies Record<QueueAction, { readonly does: string; readonly done: string }>

async function acted(
  operator: Operator,
  context: Context,
  action: QueueAction,
  options: ActOptions & { readonly json?: boolean },
  id: string | undefined,
): Promise<number> {
  const { queue, domain, reason } = options
  const { queues } = operator
  const actor = { by: operatorName, reason }
  const { done } = actions[action]
  if ((id === undefined) === (domain === undefined))
    throw new CommandFailed('name one by its id, or all of a domain with --domain', exitCodes.usage)
  const asked = checkedQueue(queue)
  if (id === undefined) {
    const outcome = await queues.actOnAll(action, { queue: asked ?? outboundQueue, domain: domain ?? '' }, actor)
    const { busy, not, more } = outcome
    const others = [
      busy > 0 && `${busy} are being worked on: again in a moment`,
      not > 0 && `${not} as they were, since it does not fit them`,
      more && 'there are more: say it again',
    ].filter(Boolean)
    const sentence = `${done}: ${outcome.done.length} for ${domain}.${others.map((words) => ` ${words}.`).join('')}`
    const facts = { action, done: outcome.done.map(({ id }) => id), busy, not, more }
    sayDone(context, options, sentence, facts)
    return busy > 0 ? exitCodes.refused : exitCodes.done
  }
  const outcome = await queues.act(action, await placeOf(queues, id, asked), id, actor)
  switch (outcome.kind) {
    case 'not-found':
      throw nothingNamed(id)
    case 'busy':
      throw new CommandFailed(`${id} is being worked on; again in a moment`)
    case 'not-so':
      throw new CommandFailed(`${id} stays as it is: ${outcome.detail}`)
    case 'done': {
      const { mail } = outcome
      return sayDone(context, options, `${done}: ${id}, to ${mail.to.join(' ')}.`, {
        action,
        done: [id],
        queue: mail.queue,
      })
    }
  }
}

const nothingNamed = (id: string) => new CommandFailed(`nothing that waits has the id ${id}`)

/** The queue where a job of this id stands: ids are unique in a queue only, and mail comes before its deadline. */
async function placeOf(queues: Queues, id: string, asked: string | undefined): Promise<string> {
  if (asked !== undefined) return asked
  for (const queue of queueNames) if (await queues.show(queue, id)) return queue
  throw nothingNamed(id)
}

function checkedQueue(queue: string | undefined): string | undefined {
  if (queue !== undefined && !queueNames.includes(queue))
    throw new CommandFailed(`--queue is one of ${queueNames.join(', ')}`, exitCodes.usage)
  return queue
}

function filterOf({ queue, domain, recipient, state, all }: Omit<ListOptions, 'limit'>): QueueFilter {
  if (state !== undefined && !queueStates.some((one) => one === state))
    throw new CommandFailed(`--state is one of ${queueStates.join(', ')}`, exitCodes.usage)
  return { queue: checkedQueue(queue), domain, recipient, state: state as QueueState | undefined, all }
}

async function listed(
  queues: Queues,
  filter: QueueFilter,
  most: number,
  now: number,
  json: boolean,
): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (let cursor: string | undefined; rows.length < most; ) {
    const page = await queues.list(filter, { limit: most - rows.length, cursor })
    if (page.kind === 'bad-cursor') throw new Error('the queues did not know their own cursor')
    rows.push(...page.mail.map((mail) => rowOf(mail, now, json)))
    if (page.next === undefined) break
    cursor = page.next
  }
  return rows
}

function rowOf({ trail, from, since, dueAt, ...mail }: QueuedMail, now: number, json: boolean): Row {
  const { queue, id, kind, state, to, system, tries, trouble } = mail
  const ageSeconds = since === undefined ? undefined : Math.max(0, Math.floor((now - since) / 1000))
  return {
    ...{ queue, id, kind, state },
    ...(from !== undefined && { from: from ?? '<>' }),
    to,
    system,
    tries,
    // On hold it has no next try.
    dueAt: state === 'on-hold' ? undefined : dueAt,
    ...(json ? { ageSeconds, trail } : { age: ageSeconds === undefined ? undefined : inWords(ageSeconds) }),
    trouble,
  }
}

function inWords(seconds: number): string {
  for (const [size, unit] of [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'm'],
  ] as const)
    if (seconds >= size) return `${Math.floor(seconds / size)}${unit}`
  return `${seconds}s`
}
