import type { Config } from '../config/settings.js'
import { startWebhooks } from '../delivery/webhook.js'
import { openWebhookDesk } from '../delivery/webhook-desk.js'
import { readEndpoint, type WebhookEndpoint } from '../delivery/webhook-endpoint.js'
import { clock, type House, random } from '../house.js'
import type { WebhookDesk } from '../ports/webhooks.js'
import { CannotStart, type Parts, textOf } from './parts.js'

/** The programs that are told of events, with their secrets. Throws CannotStart, in words, for one that is none. */
export function endpointsOf({ webhooks }: Config): readonly WebhookEndpoint[] {
  return Object.entries(webhooks.endpoints).map(([name, { url, secretFile, caFile, steps }]) => {
    const secret = textOf(secretFile, `webhooks.endpoints.${name}.secretFile`)
    const ca = caFile === undefined ? undefined : textOf(caFile, `webhooks.endpoints.${name}.caFile`)
    const read = readEndpoint({ name, url, secret, steps, ca })
    if (read.kind === 'refused') throw new CannotStart(read.detail)
    return read.endpoint
  })
}

/** What operators may do about webhooks. `nudge` has the worker look at once, where there is one. */
export function webhookDeskOf(
  { store, audit }: Pick<House, 'store' | 'audit'>,
  endpoints: readonly WebhookEndpoint[],
  nudge?: () => void,
): WebhookDesk {
  return openWebhookDesk({ store, audit, clock, random, endpoints, ...(nudge && { nudge }) })
}

/** Tells every endpoint what it was not told yet; without endpoints it ends what earlier ones left. */
export function startWebhookWork({ house, config, log, metrics, closers }: Parts): WebhookDesk {
  const endpoints = endpointsOf(config)
  const { store, audit } = house
  const { scheduleSeconds, timeoutSeconds } = config.webhooks
  const work = startWebhooks({
    ...{ store, audit, clock, random, log, metrics, endpoints },
    retryMs: scheduleSeconds.map((seconds) => seconds * 1000),
    timeoutMs: timeoutSeconds * 1000,
  })
  closers.push((graceMs) => work.stop(graceMs))
  return webhookDeskOf(house, endpoints, () => work.nudge())
}
