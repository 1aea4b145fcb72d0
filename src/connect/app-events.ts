import { createHash } from 'node:crypto'
import type { Apps } from '../consent/consent.js'
import type { AppEvents } from '../ports/app-events.js'
import { type Family, jsonOf, sound } from '../ports/rows.js'

/** One job an event, until the application took it: a slow one keeps no other waiting. */
export const appEventQueue = 'app-events'

/** What waits for an application. Ids that the application knows, so that nothing of it needs to be sealed. */
export interface WaitingEvent {
  readonly app: string
  readonly type: string
  /** Unix milliseconds. */
  readonly at: number
  readonly data: Readonly<Record<string, string | boolean>>
}

/** Puts what an application is told into the queue, in the batch of what it tells of. */
export function openAppEvents({ apps }: { readonly apps: Pick<Apps, 'webhook'> }): AppEvents {
  return {
    async event(app, event, once) {
      if (!(await apps.webhook(app))) return {}
      const waiting: WaitingEvent = { app, ...event }
      const id = createHash('sha256').update(`${app} ${once}`).digest('hex').slice(0, 32)
      return {
        enqueue: [{ queue: appEventQueue, id, payload: Buffer.from(JSON.stringify(waiting)), dueAt: event.at }],
      }
    },
  }
}

export function readWaiting(payload: Uint8Array): WaitingEvent {
  return JSON.parse(Buffer.from(payload).toString('utf8')) as WaitingEvent
}

export const appEventFamily: Family<'job'> = {
  kind: 'job',
  name: 'event for an application',
  form: /^app-events$/,
  check({ id, payload }) {
    const { app, type, at, data } = jsonOf(payload)
    sound(/^[0-9a-f]{32}$/.test(id) && typeof app === 'string', 'the job names no event')
    sound(typeof type === 'string' && Number.isInteger(at) && typeof data === 'object', 'the event does not read')
    return []
  },
}
