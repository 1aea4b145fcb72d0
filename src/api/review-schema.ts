import { z } from 'zod'
import { recordItemTypes } from '../direct/clinical.js'
import { recordParams } from './schemas.js'

/** Shapes of reviewing a record: what waits for a person, and what the person decides. */

const time = z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' })
const name = z.string().min(1).max(128)
const version = name.optional().describe('Of the entry as it was read; refused where it changed since')
const mode = z
  .enum(['review', 'automatic'])
  .describe('review: everything waits; automatic: what is safe is taken at once')
const reasons = z.array(z.enum(['new', 'version', 'conflict', 'contradiction', 'withdrawn']))

export const senderParams = recordParams.extend({ sender: z.string().min(3).max(320).describe('Direct address') })
export const readingParams = recordParams.extend({ sha256: name })

export const decisionsQuery = z.strictObject({
  entry: name.optional().describe('Only decisions on this entry'),
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('Page size'),
  cursor: name.optional().describe('`next` of the page before'),
})

const onEntry = { entry: name.describe('Id of an entry, or of a statement in it'), version }

export const decisionsBody = z.strictObject({
  decisions: z
    .array(
      z.discriminatedUnion('kind', [
        z
          .strictObject({ kind: z.literal('add'), ...onEntry })
          .describe('It belongs in the record; confirms merges and newer versions'),
        z.strictObject({ kind: z.literal('ignore'), ...onEntry }),
        z.strictObject({
          kind: z.literal('replace'),
          ...onEntry,
          replaces: name.describe('The current entry it takes the place of'),
        }),
        z.strictObject({
          kind: z.literal('merge'),
          ...onEntry,
          with: name.describe('The entry that tells of the same thing'),
        }),
        z
          .strictObject({ kind: z.literal('split'), ...onEntry, statements: z.array(name).min(1).max(1000) })
          .describe('These statements tell of another thing'),
        z.strictObject({ kind: z.literal('choose'), ...onEntry, statement: name.describe('Is shown from now on') }),
        z.strictObject({ kind: z.literal('add-document'), document: name }).describe('Adds everything new in it'),
        z.strictObject({ kind: z.literal('release'), document: name }).describe('It is about this patient after all'),
        z.strictObject({ kind: z.literal('reject'), document: name }).describe('It is about somebody else'),
        z.strictObject({ kind: z.literal('undo'), decision: name }),
      ]),
    )
    .min(1)
    .max(500)
    .describe('All of them or none'),
})

export const decidedSchema = z.object({ decisions: z.array(z.string()).describe('Ids, to undo them by') })

const words = z.array(z.string())
const deedSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['add', 'ignore']), statements: words }),
  z.object({ kind: z.literal('replace'), statements: words, replaced: words }),
  z.object({ kind: z.literal('merge'), one: z.string(), other: z.string() }),
  z.object({ kind: z.literal('split'), statements: words, from: words }),
  z.object({ kind: z.literal('choose'), statement: z.string() }),
  z.object({ kind: z.enum(['delete', 'restore']), statements: words, shown: z.string() }),
  z.object({ kind: z.enum(['release', 'reject']), document: z.string() }),
  z.object({ kind: z.literal('mode'), sender: z.string(), mode }),
  z.object({ kind: z.literal('undo'), decision: z.string() }),
])

export const decisionsSchema = z.object({
  decisions: z.array(
    z.object({
      id: z.string(),
      at: time,
      by: z.string().describe('Who decided, as the audit log names them'),
      undone: z.boolean(),
      deed: deedSchema.describe('What was decided; statements by their ids'),
    }),
  ),
  next: z.string().optional().describe('Cursor of the next page; absent on the last'),
})

const document = z.object({
  sha256: z.string(),
  itemId: z.string(),
  mediaType: z.string(),
  name: z.string().optional(),
  sizeBytes: z.int(),
  addedAt: time,
  source: z.object({ messageId: z.string(), spoolId: z.string(), sender: z.string(), mailbox: z.string() }),
  stated: z
    .object({ eventDate: z.string().optional(), patientId: z.string().optional() })
    .optional()
    .describe('What its sender stated beside it, in place of what stands in it'),
  match: z
    .object({
      kind: z.enum(['match', 'mismatch', 'unknown']),
      reasons: words,
      against: words
        .optional()
        .describe('SHA-256 of the documents that tell of somebody else, where it is held for those'),
    })
    .describe('Whether it is about the patient of the record'),
  standing: z
    .enum(['live', 'held', 'rejected', 'superseded'])
    .describe('held: about somebody else as it seems, and shown to nobody until it is released or rejected'),
})

export const documentsSchema = z.object({ documents: z.array(document) })

export const reviewSchema = z.object({
  documents: z.array(
    z.object({
      document,
      entries: z.array(
        z.object({
          id: z.string(),
          type: z.enum(recordItemTypes),
          state: z.enum(['proposed', 'current', 'ignored', 'held', 'rejected', 'superseded', 'deleted']),
          review: reasons,
        }),
      ),
    }),
  ),
})

export const readingSchema = document.extend({
  diagnostics: z.array(z.object({ code: z.string(), where: z.string(), detail: z.string() })),
  entries: z
    .array(
      z.discriminatedUnion('kind', [
        z.object({ entry: z.string(), kind: z.literal('items'), items: words }),
        z.object({ entry: z.string(), kind: z.literal('merged'), into: z.string() }),
        z.object({ entry: z.string(), kind: z.literal('unmapped'), reason: z.string() }),
      ]),
    )
    .describe('What became of each clinical statement of the document'),
})

export const modeBody = z.strictObject({ mode })
export const modesSchema = z.object({
  otherwise: mode,
  senders: z.array(z.object({ sender: z.string(), mode })),
})
