import { z } from 'zod'
import { authoredSchema } from './item-schema.js'

/** Shapes of drop-off and of what is picked up. Words of a person's choosing are checked by the room, which has their limits. */
const digest = z.string().regex(/^[0-9a-f]{64}$/)
const id = z.string().regex(/^[0-9a-f]{32}$/)
const text = z.string().max(1000)

export const uploadIdParams = z.strictObject({ id })
export const newUploadBody = z.strictObject({ sizeBytes: z.int().nonnegative() })
export const rangeHeaders = z.object({
  'content-range': z
    .string()
    .regex(/^bytes \d{1,15}-\d{1,15}\/(\d{1,15}|\*)$/)
    .describe('`bytes 0-2097151/5000000`, of the whole upload'),
})
export const uploadStanding = z.object({
  id: z.string(),
  sizeBytes: z.int(),
  receivedBytes: z.int().describe('Where the next piece begins'),
  completed: z.boolean(),
  keptUntil: z.iso.datetime(),
  chunkBytes: z.int().describe('Largest piece'),
  hash: z.literal('sha256').or(z.literal('sha256-block')),
})
export const completeBody = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('sha256'), value: digest }),
  z.strictObject({ method: z.literal('sha256-block'), value: digest }),
  z.strictObject({ method: z.literal('sha256-blocks'), values: z.array(digest).max(1024) }),
])

export const newPackageBody = z.strictObject({
  code: text.optional().describe('Allocated before; a new one without it'),
  friendlyName: text,
  question: text,
  externalId: text,
  birthDate: text.optional(),
  email: text.optional(),
  language: text.optional(),
  expiresInDays: z.number().positive().optional(),
  content: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('open'),
      answer: text.describe('Makes the key, and is not kept'),
      items: z.array(authoredSchema).max(1000).default([]),
      files: z
        .array(z.strictObject({ upload: id, name: text, mediaType: text }))
        .max(100)
        .default([]),
    }),
    z.strictObject({
      kind: z.literal('sealed'),
      jwe: z.string().describe('Encrypted by the sender, by the published recipe'),
      uploads: z.array(id).max(100).default([]),
    }),
    z.strictObject({
      kind: z.literal('legacy'),
      algorithm: text,
      salt: text,
      iterations: z.int(),
      keyLength: z.int(),
      ciphertext: z.base64(),
    }),
  ]),
})
export const allocatedSchema = z.object({ id: z.string(), code: z.string() })
export const packageSchema = z.object({
  id: z.string(),
  state: z.string().describe('allocated, pending, claimed, locked, expired, withdrawn or refused'),
  externalId: z.string().exactOptional(),
  friendlyName: z.string(),
  attemptsLeft: z.int(),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  endedAt: z.iso.datetime().exactOptional().describe('The receipt, where it is `claimed`'),
  healthvaultStatus: z.int().exactOptional().describe('What HealthVault answers for a code in this state'),
})
export const createdPackageSchema = z.object({
  package: packageSchema,
  code: z.string().describe('Shown now and never again'),
  url: z.string().exactOptional().describe('Where it is entered'),
  sheet: z.string().exactOptional().describe('A page to print, as HTML'),
})
export const packagesSchema = z.object({ packages: z.array(packageSchema), next: z.string().exactOptional() })
export const packagesQuery = z.strictObject({
  externalId: text.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z
    .string()
    .regex(/^\d{15}-[0-9a-f]{32}$/)
    .optional(),
})
export const withdrawnQuery = z.strictObject({ code: text.optional(), externalId: text.optional() })
export const withdrawnPackages = z.object({ withdrawn: z.int() })

export const lookBody = z.strictObject({ ticket: text, record: text.optional() })
export const claimBody = z.strictObject({ ticket: text, record: text, confirmed: z.boolean().default(false) })
const match = z.object({ kind: z.enum(['match', 'mismatch', 'unknown']), reasons: z.array(z.string()) })
export const contentsSchema = z.object({
  app: z.string(),
  friendlyName: z.string(),
  createdAt: z.iso.datetime(),
  things: z.array(
    z.object({
      kind: z.enum(['item', 'file']),
      type: z.string(),
      title: z.string().exactOptional(),
      day: z.string().exactOptional(),
      mediaType: z.string().exactOptional(),
      sizeBytes: z.int().exactOptional(),
      items: z.int().exactOptional(),
    }),
  ),
  about: z.array(z.object({ name: z.string().exactOptional(), birthDate: z.string().exactOptional() })),
  match: match.exactOptional(),
})
export const claimedSchema = z.object({ things: z.int(), items: z.int(), documents: z.array(z.string()) })
