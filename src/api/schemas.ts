import { z } from 'zod'
import { recordItemTypes } from '../direct/clinical.js'
import {
  contextActions,
  contextCategories,
  contextEncapsulations,
  contextPatientFields,
  contextPurposes,
} from '../direct/context.js'
import { confirmations, recipientStates } from '../spool/submission.js'
import { problems } from './problem.js'

/** Shapes of requests and responses. Responses list every field that may leave: what is not here is not sent. */

const time = z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' })
const fingerprint = z.string().describe('SHA-256, lower-case hex')

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(problems) as [keyof typeof problems]).describe('Stable; branch on this'),
    instance: z.string().describe('urn:uuid of the request: the operator finds the audit entry by it'),
    errors: z.array(z.object({ where: z.string(), detail: z.string() })).optional(),
    healthvaultStatus: z.int().optional().describe('The number that HealthVault had for it'),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details, sent as application/problem+json' })

/** A refusal as the API description shows it. */
export const refusal = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: problemSchema } },
})

/** The same on the FHIR side: an OperationOutcome. */
export const outcome = (description: string) => ({
  description,
  content: { 'application/fhir+json': { schema: z.string() } },
})

/** An answer in JSON as the API description shows it. */
export const answer = (description: string, schema: z.ZodType) => ({
  description,
  content: { 'application/json': { schema } },
})

// --- Requests ---

/** A path segment: what it names decides between 200 and 404, never its form. */
const segment = z.string().min(1).max(400)
const limit = z.coerce.number().int().min(1).max(200).default(50).describe('Page size')
const cursor = z.string().min(1).max(1000).optional().describe('`next` of the page before')
const flag = z.enum(['true', 'false'])

export const mailboxParams = z.object({ address: segment.describe('Direct address') })
export const messageParams = mailboxParams.extend({ id: segment })
export const attachmentParams = messageParams.extend({ index: segment.describe('Position in `attachments`, from 0') })
export const recordParams = z.object({ recordId: segment })
export const itemParams = recordParams.extend({ id: segment })
export const documentParams = recordParams.extend({ sha256: segment })
export const trailParams = z.object({ spoolId: segment })

export const pageQuery = z.strictObject({ limit, cursor })

export const messagesQuery = pageQuery.extend({
  unread: flag.optional(),
  flagged: flag.optional(),
  hasAttachment: flag.optional(),
  from: z.string().max(320).optional().describe('Exact sender address'),
  since: z.iso.datetime({ offset: true }).optional().describe('Received at or after'),
  until: z.iso.datetime({ offset: true }).optional().describe('Received before'),
  subject: z.string().min(1).max(200).optional().describe('Words in the subject, case-insensitive'),
})

export const itemTypes = z.enum(recordItemTypes)
const itemStates = z.enum(['proposed', 'current', 'ignored', 'held', 'rejected', 'superseded', 'deleted'])

/** One value or several: a query names one of them again and again. */
const some = <One extends z.ZodType>(one: One) =>
  z
    .union([one, z.array(one).max(100)])
    .transform((value) => (Array.isArray(value) ? value : [value]) as z.output<One>[])
    .optional()
const moment = z.iso.datetime({ offset: true }).optional()
const day = z.iso.date().optional()

export const itemsQuery = pageQuery.extend({
  type: some(itemTypes).describe('May be repeated'),
  id: some(segment).describe('May be repeated'),
  clientId: some(z.string().min(1).max(255)).describe("The caller's own; may be repeated"),
  state: itemStates.optional(),
  from: day.describe('Clinical date, inclusive'),
  to: day,
  createdFrom: moment.describe('Inclusive'),
  createdTo: moment.describe('Exclusive'),
  updatedFrom: moment,
  updatedTo: moment,
  createdByApp: segment.optional().describe('`self`, or the id of an application for whoever knows it'),
  updatedByApp: segment.optional(),
  createdByPerson: segment.optional(),
  updatedByPerson: segment.optional(),
  order: z.enum(['day', 'updated']).default('day'),
  document: segment.optional().describe('Only what this document has a part in, by its SHA-256'),
  review: flag.optional().describe('true: only what a person should look at'),
  conflicts: flag.optional().describe('true: only entries whose statements do not agree'),
})

export const changesQuery = z.strictObject({
  after: z.coerce.number().int().min(0).max(1e12).optional().describe('Sequence number that is known already'),
  cursor,
  limit,
})

export const uploadParams = recordParams.extend({ id: segment })
export const itemBlobParams = itemParams.extend({ sha256: segment })

export const flagsBody = z
  .strictObject({
    seen: z.boolean().optional(),
    flagged: z.boolean().optional(),
    answered: z.boolean().optional(),
    archived: z.boolean().optional(),
  })
  .refine((flags) => Object.keys(flags).length > 0, 'Name at least one flag')

const address = z.string().min(3).max(320).describe('Direct address')

const contextText = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}\u2028\u2029]*$/u)
const contextBody = z
  .strictObject({
    id: z
      .string()
      .regex(/^<[!-;=?-~]{1,200}>$/)
      .optional()
      .describe('Names the transaction; made where it is missing'),
    patientIds: z
      .array(
        z.strictObject({
          domain: z
            .string()
            .regex(/^\d+(\.\d+)*$/)
            .max(200)
            .describe('OID'),
          id: contextText,
        }),
      )
      .max(20)
      .optional()
      .describe('The patient in the lists of others'),
    type: z.strictObject({ category: z.enum(contextCategories), action: z.enum(contextActions) }).optional(),
    purpose: z.enum(contextPurposes).optional(),
    patient: z.strictObject(allOptional(contextPatientFields, contextText)).optional(),
    encapsulation: z.enum(contextEncapsulations).optional(),
    creationTime: contextText.optional(),
    formatCode: contextText.optional(),
    typeCode: contextText.optional(),
    contentTypeCode: contextText.optional(),
  })
  .describe('What the message says of itself for programs (Expressing Context in Direct v1.1)')

function allOptional<Name extends string>(names: readonly Name[], schema: z.ZodString) {
  return Object.fromEntries(names.map((name) => [name, schema.optional()])) as Record<Name, z.ZodOptional<z.ZodString>>
}

export const sendBody = z.union([
  z
    .strictObject({
      to: z.array(address).min(1).max(100),
      cc: z.array(address).max(100).default([]),
      subject: z.string().max(998).default(''),
      text: z
        .string()
        .max(1024 * 1024)
        .default(''),
      attachments: z
        .array(
          z.strictObject({
            name: z.string().min(1).max(200),
            mediaType: z.string().regex(/^[a-z0-9!#$&^_.+-]{1,64}\/[a-z0-9!#$&^_.+-]{1,64}$/i),
            content: z.string().describe('Base64'),
          }),
        )
        .max(100)
        .default([]),
      inReplyTo: z
        .string()
        .regex(/^<[!-;=?-~]{1,900}>$/)
        .optional()
        .describe('Message-ID of what it answers'),
      context: contextBody.optional(),
      confirmDelivery: z
        .enum(confirmations)
        .optional()
        .describe(
          'Asks for a notice of success: processed, when the gateway of a recipient took it over, or dispatched, when it reached its destination',
        ),
    })
    .describe('The gateway writes the message'),
  z
    .strictObject({ original: z.string().describe('A whole message (RFC 5322), to everybody in its To and Cc') })
    .describe('The same as a body of the media type message/rfc822'),
])

export const idempotencyKey = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[!-~]{1,200}$/)
    .optional()
    .describe('Asking again with the same key and message sends nothing twice'),
})

export const submissionParams = mailboxParams.extend({ id: segment })

export const submittedSchema = z.object({
  id: z.string().describe('Names the submission and its trail'),
  messageId: z.string(),
  duplicate: z.boolean().describe('The message had been submitted before'),
})

export const submissionSchema = z
  .object({
    id: z.string(),
    mailbox: z.string().describe('Direct address'),
    messageId: z.string(),
    subject: z.string(),
    submittedAt: time,
    sizeBytes: z.int(),
    asks: z
      .enum(confirmations)
      .optional()
      .describe('What the sender asked to be told of each recipient; absent: of failures only'),
    recipients: z.array(
      z.object({
        recipient: z.string(),
        state: z
          .enum(recipientStates)
          .describe(
            'waiting: for a certificate; queued: sealed, on its way; sent: his gateway took it; processed: it says that it trusts and took over the message; dispatched: it says that the message reached its destination; failed: reported',
          ),
        since: time,
        moments: z.partialRecord(z.enum(recipientStates), time).describe('When he came to each state before this one'),
        reason: z.string().optional(),
        help: z.string().optional(),
        detail: z.string().optional(),
        status: z.string().optional().describe('RFC 3463'),
      }),
    ),
  })
  .meta({ id: 'Submission' })

export const ifMatch = z.object({
  'if-match': z.string().max(64).optional().describe('ETag of the message: refuses the change when it changed since'),
})

// --- Messages ---

const next = z.string().optional().describe('Cursor of the next page; absent on the last')
const unreadable = z.array(z.string()).describe('Ids whose stored bytes are damaged')

export const mailboxesSchema = z.object({
  mailboxes: z.array(z.object({ address: z.string(), kind: z.enum(['patient', 'provider']), disabled: z.boolean() })),
  next,
})

const contextFields = z.array(z.object({ name: z.string(), value: z.string() }))
const contextSchema = z
  .object({
    version: z.string().optional(),
    id: z.string().optional().describe('Names the transaction'),
    patientIds: z.array(z.object({ domain: z.string().describe('OID'), id: z.string() })),
    type: z.object({ category: z.string(), action: z.string() }).optional(),
    purpose: z.string().optional(),
    patient: z
      .object({ ...allOptional(contextPatientFields, z.string()), others: contextFields.optional() })
      .optional()
      .describe("The sender's words, compared with nothing"),
    encapsulation: z.string().optional(),
    creationTime: z.string().optional(),
    formatCode: z.string().optional(),
    typeCode: z.string().optional(),
    contentTypeCode: z.string().optional(),
    others: contextFields.describe('Fields that the guide does not know'),
  })
  .meta({ id: 'Context', description: 'What the message says of itself for programs (Expressing Context in Direct)' })

export const messageSchema = z
  .object({
    id: z.string(),
    mailbox: z.string().describe('Direct address'),
    spoolId: z.string().describe('Names the trail; also in the SMTP reply'),
    version: z.string().describe('ETag, for If-Match'),
    receivedAt: time,
    from: z.string(),
    to: z.array(z.string()),
    cc: z.array(z.string()),
    subject: z.string(),
    date: time.optional().describe("The sender's word"),
    messageId: z.string().optional(),
    inReplyTo: z.string().optional(),
    references: z.array(z.string()),
    preview: z.string(),
    sizeBytes: z.int(),
    context: contextSchema.optional(),
    outerFields: z
      .array(z.object({ name: z.string(), value: z.string() }))
      .optional()
      .describe(
        'X-Direct-* fields outside the protection: not signed, so that anybody on the way could have written them',
      ),
    attachments: z.array(
      z.object({
        index: z.int(),
        path: z.string().describe('MIME part path'),
        name: z.string().optional(),
        mediaType: z.string(),
        sizeBytes: z.int(),
        sha256: fingerprint.optional(),
        documentItemIds: z.array(z.string()).optional().describe('Record items read from it'),
      }),
    ),
    protection: z.object({
      signerFingerprint: fingerprint,
      signerSubject: z.string(),
      anchorFingerprint: fingerprint,
      path: z.array(fingerprint),
      digest: z.string(),
      wrapped: z.boolean().describe('The signature covers the header fields too'),
      warnings: z.array(z.string()),
    }),
    notice: z
      .object({
        kind: z.enum(['mdn', 'dsn']),
        disposition: z.string(),
        originalMessageId: z.string().optional(),
        finalRecipient: z.string().optional(),
      })
      .optional(),
    flags: z.object({ seen: z.boolean(), flagged: z.boolean(), answered: z.boolean(), archived: z.boolean() }),
    diagnostics: z.array(z.object({ code: z.string(), where: z.string(), detail: z.string() })),
  })
  .meta({ id: 'Message' })

export const messagesSchema = z.object({ messages: z.array(messageSchema), unreadable, next })

export const submissionsSchema = z.object({ submissions: z.array(submissionSchema), next })

// --- Trail and quarantine ---

export const stepSchema = z
  .object({
    at: time,
    step: z.string(),
    recipient: z.string().optional(),
    detail: z.string(),
    refusal: z.object({ reason: z.string(), detail: z.string(), help: z.string() }).optional(),
    candidates: z
      .array(
        z.object({
          fingerprint,
          subject: z.string(),
          outcome: z.string(),
          detail: z.string(),
          path: z.array(fingerprint),
        }),
      )
      .optional(),
  })
  .meta({ id: 'TrailStep' })

export const trailSchema = z.object({ spoolId: z.string(), steps: z.array(stepSchema) })

export const quarantineSchema = z.object({
  messages: z.array(
    z.object({
      spoolId: z.string(),
      refusedAt: time,
      receivedAt: time,
      from: z.string().describe('The reverse-path; empty for a notice'),
      recipients: z.array(z.string()),
      refused: z.array(z.object({ recipient: z.string(), reason: z.string(), detail: z.string(), help: z.string() })),
      peer: z.string(),
      sizeBytes: z.int(),
      judgedAgain: z.int(),
    }),
  ),
  next,
})

// --- Records ---

export const recordsSchema = z.object({
  records: z.array(z.object({ recordId: z.string(), addresses: z.array(z.string()) })),
  next,
})
