import { z } from 'zod'
import { requestStates } from '../connect/request.js'
import { pageQuery } from './schemas.js'

/** Shapes of Patient Connect and of pickup. Words of a person's choosing are checked by the room, which has their limits. */

const time = z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' })
const words = (describe: string) => z.string().max(1000).describe(describe)
const id = z.string().min(1).max(400)
const code = z.string().min(1).max(200).describe('Twenty letters, however they are written')
const ticket = z.string().min(1).max(100).describe('What the right answer gave')

export const requestParams = z.object({ id })

export const newRequestBody = z.strictObject({
  friendlyName: words('Shown after the right answer only; tells siblings apart'),
  question: words('Shown to whoever holds the code'),
  answer: words('Never stored, never shown; six characters or more'),
  externalId: words('Your own id of the patient: one request for each'),
  birthDate: z.string().max(20).optional().describe('ISO 8601 day: a warning where another child is chosen'),
  email: words('Where the code goes; nowhere where absent').optional(),
  language: z.string().max(35).optional().describe('BCP 47, of the letter'),
  expiresInDays: z.number().positive().max(92).optional().describe('28 where absent'),
  attempts: z
    .number()
    .int()
    .min(1)
    .max(10)
    .optional()
    .describe('Wrong answers, for ever; never more than the gateway allows'),
})

const requestShape = z
  .object({
    id: z.string(),
    state: z.enum([...requestStates, 'rejected']).describe('`rejected`: the person said no, and the code works on'),
    externalId: z.string().optional(),
    friendlyName: z.string(),
    attemptsLeft: z.int(),
    createdAt: time,
    expiresAt: time,
    rejectedAt: time.optional(),
    endedAt: time.optional(),
    pickups: z.int().describe('For how many records it was used'),
    healthvaultStatus: z.int().optional().describe('What HealthVault answers for a code in this state'),
  })
  .meta({ id: 'ConnectRequest' })

export const requestSchema = requestShape
export const requestsSchema = z.object({ requests: z.array(requestShape), next: z.string().optional() })
export const newCodeSchema = z.object({
  request: requestShape,
  code: z.string().describe('Shown now and never again'),
  url: z.string().describe('Leads to the question, with the code in it'),
  sheet: z
    .string()
    .optional()
    .describe('A page to print, as HTML: code, address and QR code; never question or answer'),
})
export const requestsQuery = pageQuery.extend({ externalId: z.string().min(1).max(255).optional() })
export const withdrawQuery = z.strictObject({ externalId: z.string().min(1).max(255) })
export const withdrawnSchema = z.object({ id: z.string(), state: z.literal('withdrawn') })

export const externalIdBody = z
  .strictObject({
    code: code.optional(),
    externalId: words('The id until now: of everything that has it').optional(),
    newExternalId: words('The id from now on'),
  })
  .refine((body) => (body.code === undefined) !== (body.externalId === undefined), 'Either `code` or `externalId`')
export const renamedSchema = z.object({ changed: z.int() })

export const authorizedQuery = pageQuery.extend({
  since: z.string().max(100).optional().describe('RFC 3339: authorized at or after; everything where absent'),
})
export const authorizedSchema = z.object({
  authorized: z.array(
    z.object({
      app: z.string().describe('You, or an application that you registered'),
      request: z.string(),
      externalId: z.string(),
      person: z.string().describe("The application's own id of the person"),
      record: z.string().describe("The application's own id of the record: the same whoever authorized it"),
      authorizedAt: time,
      stands: z.boolean().describe('false: it was taken back since'),
    }),
  ),
  next: z.string().optional(),
  pollFrom: time.describe('`since` of your next poll: rows may come twice, and none is missed'),
})

// --- The person who picks up ---

const appShape = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string().optional(),
  logoUrl: z.string().optional(),
  privacyUrl: z.string().optional(),
  termsUrl: z.string().optional(),
})

export const openBody = z.strictObject({ code })
export const openedSchema = z.object({
  kind: z.enum(['connect', 'package', 'message']),
  question: z.string().optional(),
  app: appShape.optional(),
})
export const answerBody = z.strictObject({ code, answer: z.string().min(1).max(1000) })
export const answeredSchema = z.object({
  ticket: z.string().describe('For half an hour, in this session, once'),
  kind: z.enum(['connect', 'package', 'message']),
  friendlyName: z.string(),
})
export const reviewBody = z.strictObject({ ticket, record: id.optional() })
export const pickupSchema = z.object({
  app: appShape,
  friendlyName: z.string(),
  endsAt: time,
  records: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      match: z.enum(['match', 'mismatch', 'unknown']),
      reasons: z.array(z.string()),
    }),
  ),
  asked: z
    .object({
      action: z.enum(['none', 'authorization-required', 'reauthorization-required', 'not-possible']),
      rules: z.array(
        z.object({
          name: z.string(),
          reason: z.record(z.string(), z.string()),
          permissions: z.array(z.string()),
          types: z.array(z.string()).optional(),
          from: z.string().optional(),
          to: z.string().optional(),
          optional: z.boolean(),
          granted: z.boolean(),
        }),
      ),
    })
    .optional()
    .describe('What the application asks for while nobody is there, where a record was named'),
})
export const acceptBody = z.strictObject({
  ticket,
  record: id,
  optional: z.array(z.string().max(16)).max(100).default([]).describe('Names of optional rules to grant'),
  confirmed: z.boolean().optional().describe('The record is the right one although it seems not to be'),
})
export const acceptedSchema = z.object({ record: z.string(), grant: z.string(), successMessage: z.string().optional() })
export const rejectBody = z.strictObject({
  ticket,
  never: z.boolean().default(false).describe('The code opens nothing any more'),
})
export const rejectedSchema = z.object({ state: z.literal('rejected') })
