import { z } from 'zod'
import { activityActions, appKinds, appPowers } from '../consent/consent.js'
import { permissions } from '../direct/access.js'
import { itemTypes, pageQuery, recordParams } from './schemas.js'

/** Shapes of applications, grants and the history. What is in them is checked by their room, value by value. */

const time = z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' })
const id = z.string().min(1).max(128)
const next = z.string().optional().describe('Cursor of the next page; absent on the last')

const rule = z.strictObject({
  name: z.string().describe('1 to 16 characters, unique in its set'),
  reason: z
    .record(z.string(), z.string())
    .describe('Why, for the person who decides, by language; `en` is always there'),
  permissions: z.array(z.enum(permissions)),
  types: z.array(itemTypes).optional().describe('Every kind where absent'),
  from: z.string().optional().describe('Day, by the clinical date of an item; with it undated items are outside'),
  to: z.string().optional().describe('Day, inclusive'),
  optional: z.literal(true).optional().describe('The person may leave it out'),
})

/** A rule as it leaves: without what stands for one scope only. */
const ruleView = z.object(rule.shape)

export const rulesSchema = z
  .strictObject({ online: z.array(rule), offline: z.array(rule) })
  .describe('For when the person is signed in with the application, and for when only the application is there')

const rulesView = z.object({ online: z.array(ruleView), offline: z.array(ruleView) })

const keySet = z.strictObject({ keys: z.array(z.record(z.string(), z.unknown())) }).describe('Public keys (RFC 7517)')
const text = z.string().max(2000)

const appShape = {
  name: text,
  rules: rulesSchema.optional(),
  redirectUris: z.array(text).optional().describe('https, http on 127.0.0.1 or [::1], or a scheme of a native app'),
  jwks: keySet.optional(),
  jwksUri: text.optional(),
  url: text.optional(),
  logoUrl: text.optional(),
  privacyUrl: text.optional(),
  termsUrl: text.optional(),
  successMessage: text.optional().describe('Shown after a pickup'),
  may: z.array(z.enum(appPowers)).optional(),
  webhookUrl: text.optional().describe('Where it is told of changes; its secret is told once'),
  networks: z.array(z.string().max(50)).optional().describe('CIDR prefixes that its own requests come from'),
}

export const appBody = z.strictObject({
  kind: z.enum(appKinds),
  master: id.optional().describe('For an application that registers: its own id, or nothing'),
  ...appShape,
})

/** `null` takes away. */
export const appChangeBody = z
  .strictObject({
    ...Object.fromEntries(Object.entries(appShape).map(([name, schema]) => [name, schema.nullish()])),
    name: text.optional(),
  } as { [Name in keyof typeof appShape]: z.ZodOptional<z.ZodNullable<(typeof appShape)[Name]>> } & {
    name: z.ZodOptional<typeof text>
  })
  .refine((change) => Object.keys(change).length > 0, 'Name at least one value')

export const appParams = z.object({ app: z.string().min(1).max(400) })
export const appsQuery = pageQuery.extend({ master: id.optional().describe('Only its children') })

export const appSchema = z
  .object({
    id,
    kind: z.enum(appKinds),
    name: z.string(),
    master: z.string().optional(),
    state: z.enum(['active', 'disabled']),
    rules: rulesView.describe("In force: within the master's, where there is one"),
    redirectUris: z.array(z.string()),
    jwks: z.object({ keys: z.array(z.record(z.string(), z.unknown())) }).optional(),
    jwksUri: z.string().optional(),
    url: z.string().optional(),
    logoUrl: z.string().optional(),
    privacyUrl: z.string().optional(),
    termsUrl: z.string().optional(),
    successMessage: z.string().optional(),
    may: z.array(z.enum(appPowers)),
    webhookUrl: z.string().optional(),
    networks: z.array(z.string()).optional(),
    createdAt: time,
  })
  .meta({ id: 'App' })

export const registeredSchema = z.object({
  app: appSchema,
  webhookSecret: z.string().optional().describe('Told this once: `whsec_` and base64'),
})

export const appsSchema = z.object({ apps: z.array(appSchema), next })

// --- Grants ---

const names = z.array(z.string().min(1).max(16)).max(64)

export const grantParams = z.object({ grant: z.string().min(1).max(400) })

export const grantsQuery = pageQuery.extend({
  app: id.optional().describe('Of this application: for operators, and for a master of its children'),
  record: id.optional().describe('In this record, by whomever they were given: for its custodians'),
  since: z.iso.datetime({ offset: true }).optional().describe('Changed at or after; for applications'),
})

export const permissionsQuery = z.strictObject({
  types: z.string().max(1000).optional().describe('Kinds of item with commas between them; all where absent'),
})

export const narrowBody = z
  .strictObject({ online: names, offline: names })
  .describe('Names of the optional rules that stay; what was required stays too')

export const consentQuery = z.strictObject({ app: id, record: id })

export const consentBody = z
  .strictObject({ app: id, record: id, online: names.default([]), offline: names.default([]) })
  .describe('All that is required, and the optional rules that are named')

export const grantSchema = z
  .object({
    id,
    app: z.object({ id: z.string(), name: z.string().optional(), master: z.string().optional() }),
    person: z.string().describe('To an application: the id that it alone knows the person by'),
    record: z.string().describe('To an application: the id that it alone knows the record by'),
    rules: rulesView.describe('As granted; what holds now is within the present rules and rights'),
    via: z.enum(['web', 'native', 'device', 'patient-connect']),
    grantedAt: time,
    changedAt: time,
    revoked: z.object({ at: time, by: z.enum(['person', 'app', 'operator']) }).optional(),
  })
  .meta({ id: 'Grant' })

export const grantsSchema = z.object({ grants: z.array(grantSchema), next })

export const permissionsSchema = z.object({
  permissions: z
    .array(z.object({ type: itemTypes, online: z.array(z.enum(permissions)), offline: z.array(z.enum(permissions)) }))
    .describe('Kinds of which nothing is allowed are left out'),
})

export const questionSchema = z.object({
  app: z.object({
    id,
    name: z.string(),
    url: z.string().optional(),
    logoUrl: z.string().optional(),
    privacyUrl: z.string().optional(),
    termsUrl: z.string().optional(),
  }),
  action: z.enum(['none', 'authorization-required', 'reauthorization-required', 'not-possible']),
  rules: rulesView,
  granted: grantSchema.optional(),
})

// --- History ---

const filters = {
  from: z.iso.datetime({ offset: true }).optional().describe('At or after'),
  to: z.iso.datetime({ offset: true }).optional().describe('Before'),
  action: z.enum(activityActions).optional(),
  app: id.optional().describe('Of this application'),
}

export const activityParams = recordParams
export const activityQuery = pageQuery.extend(filters)
export const activityFileQuery = z.strictObject({ ...filters, format: z.enum(['json', 'csv']).default('json') })

const named = z.object({ id: z.string(), name: z.string().optional() })

export const activityEntrySchema = z
  .object({
    at: time,
    action: z.enum(activityActions),
    outcome: z.enum(['success', 'refused']),
    by: z.string().describe('Who acted, as the audit log names it'),
    avenue: z.enum(['page', 'online', 'offline', 'direct', 'link', 'operator']),
    person: named.optional().describe('Who acted, or for whom an application did'),
    app: named.optional().describe('What acted'),
    about: z.object({ person: named.optional(), app: named.optional() }).optional(),
    address: z.string().optional().describe('Of the client'),
    count: z.int().optional(),
    types: z.array(z.string()).optional(),
    addressee: z.string().optional().describe('To whom something was sent'),
  })
  .meta({ id: 'ActivityEntry' })

export const activitySchema = z.object({
  entries: z.array(activityEntrySchema),
  unreadable: z.int().describe('Lines whose stored bytes are damaged'),
  next,
})
