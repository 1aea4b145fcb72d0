import { z } from 'zod'
import { permissions } from '../direct/access.js'
import { itemTypes } from './schemas.js'

/** Shapes of records and of sharing them. */
const time = z.string().meta({ format: 'date-time' })
const segment = z.string().min(1).max(128)
const states = z.enum(['active', 'read-only', 'suspended', 'deleted'])

export const memberParams = z.object({ recordId: segment, person: segment })
export const invitationParams = z.object({ recordId: segment, id: segment })
export const newRecordBody = z.strictObject({
  name: z.string().min(1).max(100),
  relationship: z.string().min(1).max(100).default('self').describe('`self` where the record is about you'),
  birthDate: z.iso.date().optional(),
})
export const recordBody = z
  .strictObject({ name: z.string().min(1).max(100).optional(), birthDate: z.iso.date().optional() })
  .refine((body) => Object.keys(body).length > 0, 'Name something to change')
export const privacyBody = z.strictObject({
  personal: z.boolean().describe('Items flagged personal are kept from others'),
  types: z.array(itemTypes).max(100).describe('Kinds of items that are kept from others'),
})

const rule = z.strictObject({
  name: z.string().min(1).max(16),
  reason: z.record(z.string(), z.string().max(1024)).default({ en: '' }),
  permissions: z.array(z.enum(permissions)).min(1).max(4),
  types: z.array(itemTypes).max(100).optional(),
  from: z.iso.date().optional(),
  to: z.iso.date().optional(),
})
export const invitationBody = z.strictObject({
  email: z.string().max(320),
  relationship: z.string().min(1).max(100),
  custodian: z.boolean().default(false),
  subject: z.boolean().default(false).describe('They are whom the record is about'),
  rules: z.array(rule).max(20).default([]),
  until: z.iso.datetime({ offset: true }).optional().describe('When the sharing ends'),
  pin: z
    .string()
    .regex(/^\d{4,12}$/)
    .optional()
    .describe('Told to them by other means'),
  message: z.string().max(1024).optional(),
})
export const acceptBody = z
  .strictObject({ id: segment.optional(), code: z.string().max(64).optional(), pin: z.string().max(64).optional() })
  .refine(({ id, code }) => (id === undefined) !== (code === undefined), 'Name the id or the code of a link')

export const createdSchema = z.object({ recordId: z.string() })
export const invitedSchema = z.object({ id: z.string() })
const ruleSchema = z.object({ ...rule.shape })
const membership = {
  ...{ recordId: z.string(), name: z.string(), birthDate: z.string().optional(), state: states, createdAt: time },
  ...{ custodian: z.boolean(), relationship: z.string(), since: time, until: time.optional() },
  rules: z.union([z.literal('all'), z.array(ruleSchema)]),
}
export const heldSchema = z.object({
  records: z.array(z.object(membership)),
  deleted: z.array(z.object({ recordId: z.string(), name: z.string(), until: time })),
})
export const sharingSchema = z.object({
  custodian: z.boolean(),
  subject: z.boolean(),
  guardian: z.boolean(),
  privacy: z.object({ personal: z.boolean(), types: z.array(itemTypes) }),
  ofAge: z.object({ since: time, until: time }).optional(),
  members: z.array(
    z.object({
      ...{ person: z.string(), name: z.string(), custodian: z.boolean(), subject: z.boolean(), confirmed: z.boolean() },
      ...{ relationship: z.string(), since: time, until: time.optional(), rules: membership.rules },
    }),
  ),
})
export const invitationsSchema = z.object({
  invitations: z.array(
    z.object({
      ...{ id: z.string(), recordName: z.string(), from: z.string(), email: z.string(), relationship: z.string() },
      ...{ custodian: z.boolean(), subject: z.boolean(), rules: z.array(ruleSchema), until: time.optional() },
      ...{ pin: z.boolean(), message: z.string().optional(), createdAt: time, expiresAt: time },
      state: z.enum(['pending', 'accepted', 'declined', 'withdrawn', 'locked', 'expired']),
    }),
  ),
})
