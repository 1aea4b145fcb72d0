import { createHmac } from 'node:crypto'
import { trailSteps } from '../direct/verdict.js'
import type { MessageEvent } from '../spool/events.js'

/** A program that is told of events. Made by `readEndpoint` only. */
export interface WebhookEndpoint {
  readonly name: string
  readonly url: URL
  /** Each signs every delivery: two while one is replaced by the other. */
  readonly secrets: readonly Buffer[]
  /** The steps it is told of; all where absent. */
  readonly steps?: ReadonlySet<string>
  /** PEM certificates of authorities that may vouch for it; otherwise those of the system. */
  readonly ca?: string
}

export const endpointLimits = {
  /** Standard Webhooks: between 24 and 64 random bytes. */
  secretBytesLeast: 24,
  secretBytesMost: 64,
  /** The one in use, and the one that comes after it. */
  secrets: 2,
}

/**
 * Reads an endpoint as it is configured: `secret` is the text of its file, a line `whsec_` and base64 for each secret.
 * Refuses, in words for the operator, other schemes than https but http to this machine, a URL with a password, and secrets
 * and steps that are none.
 */
export function readEndpoint(given: {
  readonly name: string
  readonly url: string
  readonly secret: string
  readonly steps?: readonly string[] | undefined
  readonly ca?: string | undefined
}): { readonly kind: 'endpoint'; readonly endpoint: WebhookEndpoint } | Unfit {
  const { name, steps, ca } = given
  if (!/^[a-z0-9][a-z0-9.-]{0,63}$/.test(name)) return unfit(`the webhook ${name} needs a short name such as ehr-north`)
  if (!URL.canParse(given.url)) return unfit(`the URL of the webhook ${name} cannot be read`)
  const url = new URL(given.url)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isThisMachine(url.hostname)))
    return unfit(`the webhook ${name} needs an https URL, or an http one to this machine`)
  if (url.username !== '' || url.password !== '')
    return unfit(`the URL of the webhook ${name} names a user; deliveries are signed instead`)
  const secrets = secretsOf(given.secret)
  if (!secrets)
    return unfit(
      `the secret file of the webhook ${name} needs one or two lines of whsec_ and 24 to 64 random bytes in base64`,
    )
  const strange = steps?.find((step) => !(trailSteps as readonly string[]).includes(step))
  if (strange !== undefined)
    return unfit(`${strange} is no step the webhook ${name} could be told of; there are ${trailSteps.join(', ')}`)
  const told = { ...(steps && { steps: new Set(steps) }), ...(ca !== undefined && { ca }) }
  return { kind: 'endpoint', endpoint: { name, url, secrets, ...told } }
}

export interface Unfit {
  readonly kind: 'refused'
  readonly detail: string
}

function unfit(detail: string): Unfit {
  return { kind: 'refused', detail }
}

/** Loopback by its name or its address: what is sent there passes no network. */
function isThisMachine(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

function secretsOf(text: string): readonly Buffer[] | undefined {
  const lines = text.split(/\r?\n/).map((line) => line.trim())
  const named = lines.filter((line) => line !== '')
  const secrets = named.flatMap((line) => {
    const base64 = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(line)?.[1]
    const bytes = Buffer.from(base64 ?? '', 'base64')
    const fits = bytes.length >= endpointLimits.secretBytesLeast && bytes.length <= endpointLimits.secretBytesMost
    return base64 !== undefined && fits && sameBase64(bytes, base64) ? [bytes] : []
  })
  const all = secrets.length === named.length && secrets.length > 0 && secrets.length <= endpointLimits.secrets
  return all ? secrets : undefined
}

/** Node leaves out of base64 what it cannot read: half a secret would then be one. */
function sameBase64(bytes: Buffer, text: string): boolean {
  return bytes.toString('base64').replaceAll('=', '') === text.replaceAll('=', '')
}

/** What one request says. */
export interface WebhookMessage {
  readonly id: string
  readonly body: Buffer
}

/** An event as Standard Webhooks has it: a type, its time, and what it is about. */
export function messageOf(sequence: number, { id, at, ...told }: MessageEvent): WebhookMessage {
  const timestamp = new Date(at).toISOString()
  const data = { sequence, id, at: timestamp, ...told }
  // Standard Webhooks writes types with dots and underscores only.
  const type = `message.${told.step.replaceAll('-', '_')}`
  return { id, body: Buffer.from(JSON.stringify({ type, timestamp, data })) }
}

/** The headers that prove a delivery: HMAC-SHA256 over id, Unix seconds and body, each followed by a full stop but the last. */
export function signatureHeaders(
  { id, body }: WebhookMessage,
  secrets: readonly Uint8Array[],
  now: number,
): Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string> {
  const timestamp = String(Math.floor(now / 1000))
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body])
  const signatures = secrets.map((secret) => `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`)
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') }
}
