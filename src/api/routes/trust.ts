import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { type DirectAddress, parseAddress } from '../../direct/address.js'
import { type ExplainedDecision, explainLimits } from '../../pipeline/explain.js'
import type { ApiPorts } from '../ports.js'
import { Problem } from '../problem.js'
import { route } from '../route.js'

const address = z.string().min(3).max(320).describe('Direct address')
const addresses = z.array(address).min(1).max(explainLimits.recipients)
const time = z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' })
const fingerprint = z.string().describe('SHA-256, lower-case hex')

const query = z.strictObject({
  from: address.describe('Who sends'),
  to: z.union([address.transform((one) => [one]), addresses]).describe('Who receives; may be given several times'),
})

const body = z.strictObject({
  from: address.describe('Who sends'),
  to: addresses.describe('Who receives'),
  certificates: z
    .array(
      z
        .base64()
        .min(1)
        .max(96 * 1024),
    )
    .max(explainLimits.certificates)
    .default([])
    .describe('DER in base64: the certificate that signed, behind it those that came along'),
})

const explainLimit = {
  /** A signer's certificate and its chain, in base64, with the largest that are read at all. */
  bodyBytes: 512 * 1024,
}

const why = z.object({ reason: z.string(), detail: z.string() })

const step = z.object({
  fingerprint,
  subject: z.string(),
  issuer: z.string(),
  serial: z.string(),
  notBefore: time,
  notAfter: time,
})

const pathSchema = z.object({
  certificates: z.array(step).describe('Leaf first, anchor last'),
  anchor: z
    .object({ owner: z.string().optional(), bundle: z.string().optional(), direction: z.string() })
    .optional()
    .describe('Who trusts the last of them'),
  remembered: z.boolean().describe('Found valid by an earlier decision'),
  flaw: why.optional(),
  revocation: z.array(
    z.object({
      fingerprint,
      answer: z.enum(['good', 'revoked', 'not-published', 'unavailable']),
      detail: z.string(),
      sources: z.array(z.string()).describe('URLs of the lists and answers that were looked at'),
    }),
  ),
})

const certificateSchema = z.object({
  fingerprint,
  subject: z.string(),
  issuer: z.string().optional(),
  serial: z.string().optional(),
  notBefore: time.optional(),
  notAfter: time.optional(),
  binding: z.enum(['address', 'domain']).optional().describe('Which name in it is the address asked about'),
  outcome: z.string().describe('`trusted`, a refusal, or what could not answer'),
  detail: z.string(),
  help: z.string(),
  paths: z.array(pathSchema),
  issuers: z.array(z.object({ fingerprint, found: z.int(), detail: z.string() })),
  searchEnded: why.optional(),
})

const answers = z.object({
  at: time,
  decisions: z.array(
    z.object({
      direction: z.enum(['sending', 'receiving']),
      from: z.string(),
      to: z.string(),
      verdict: z.object({
        kind: z.enum(['trusted', 'refused', 'undecided', 'unknown']),
        reason: z.string().optional(),
        cause: z.string().optional(),
        detail: z.string(),
        help: z.string().optional(),
      }),
      policy: z.object({
        revocation: z.enum(['hard', 'soft', 'off']),
        allowSha1: z.boolean(),
        requirePublishedRevocation: z.boolean(),
        requireEmailProtection: z.boolean(),
        requiredPolicies: z.array(z.string()),
        rules: z.array(z.object({ name: z.string(), text: z.string() })),
      }),
      anchors: z.int().describe('How many anchors there are to end at'),
      keys: z.array(
        z.object({ id: fingerprint, owner: z.string(), subject: z.string(), excluded: z.string().optional() }),
      ),
      discovery: z.array(
        z.object({
          source: z.enum(['imported', 'own', 'dns', 'ldap']),
          binding: z.enum(['address', 'domain']),
          place: z.string(),
          outcome: z.enum(['found', 'none', 'unavailable']),
          detail: z.string(),
        }),
      ),
      certificates: z.array(certificateSchema),
    }),
  ),
})

/** Why mail between addresses would be sent or believed, or not; the same as `direct-gateway trust explain`. */
export function trustRoutes(app: FastifyInstance, ports: ApiPorts): void {
  const asking = {
    path: '/api/v1/trust/explain',
    access: 'operator',
    tag: 'operator',
    answers,
    description: 'Asks what a message would ask, of the same caches, and changes nothing.',
  } as const
  route(app, ports, {
    ...asking,
    method: 'GET',
    action: 'trust.explain',
    summary: 'How mail between addresses is decided, and why',
    query,
    handle: ({ query: { from, to }, subject }) => explained(ports, { from, to, certificates: [] }, subject, 'query'),
  })
  route(app, ports, {
    ...asking,
    method: 'POST',
    asks: true,
    action: 'trust.explain-certificate',
    summary: 'How mail signed with this certificate is decided, and why',
    bodyBytes: explainLimit.bodyBytes,
    body,
    handle: ({ body, subject }) => explained(ports, body, subject, 'body'),
  })
}

interface Asked {
  readonly from: string
  readonly to: readonly string[]
  readonly certificates: readonly string[]
}

async function explained(ports: ApiPorts, asked: Asked, subject: Record<string, string>, place: string) {
  if (!ports.explain) throw new Problem('unavailable')
  const from = addressOf(asked.from, `${place}.from`)
  const to = asked.to.map((one, i) => addressOf(one, `${place}.to.${i}`))
  subject['count'] = String(to.length)
  const certificates = asked.certificates.map((one) => new Uint8Array(Buffer.from(one, 'base64')))
  const told = await ports.explain({ from, to, certificates })
  if (told.kind === 'refused') throw new Problem('invalid-request', {}, [{ where: `${place}.to`, detail: told.detail }])
  return { at: isoOf(told.at), decisions: told.decisions.map(decisionView) }
}

function addressOf(text: string, where: string): DirectAddress {
  const read = parseAddress(text)
  if (!read) throw new Problem('invalid-request', {}, [{ where, detail: 'Not a Direct address' }])
  return read
}

function decisionView(decision: ExplainedDecision) {
  return {
    ...decision,
    certificates: decision.certificates.map(({ paths, ...certificate }) => ({
      ...dated(certificate),
      paths: paths.map((path) => ({ ...path, certificates: path.certificates.map(dated) })),
    })),
  }
}

function dated<T extends { readonly notBefore?: number; readonly notAfter?: number }>(
  of: T,
): Omit<T, 'notBefore' | 'notAfter'> & { notBefore?: string; notAfter?: string } {
  const { notBefore, notAfter, ...rest } = of
  return {
    ...rest,
    ...(notBefore !== undefined && { notBefore: isoOf(notBefore) }),
    ...(notAfter !== undefined && { notAfter: isoOf(notAfter) }),
  }
}

function isoOf(at: number): string {
  return new Date(at).toISOString()
}
