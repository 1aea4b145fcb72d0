import { z } from 'zod'
import { linkLimits } from '../connect/shl/limits.js'
import { recordItemTypes } from '../direct/clinical.js'
import { shareLimits } from '../pipeline/share-bundle.js'
import { recordParams } from './schemas.js'

/** Shapes of SMART Health Links: those of the standard, and those of whoever shares or takes one. */

const segment = z.string().min(1).max(400)
export const linkParams = z.object({ id: segment })
export const linkFileParams = z.object({ location: segment })
export const recipientQuery = z.object({ recipient: z.string().min(1).max(1000) })
/** Members that are not known are passed over, as the standard grows. */
export const manifestBody = z.object({
  recipient: z.string().min(1).max(1000),
  passcode: z.string().max(1000).optional(),
  embeddedLengthMax: z.int().nonnegative().optional(),
})
export const manifestSchema = z.object({
  files: z.array(
    z.object({
      contentType: z.string(),
      embedded: z.string().exactOptional(),
      location: z.string().exactOptional(),
      lastUpdated: z.iso.datetime(),
      status: z.literal('finalized'),
      fhirVersion: z.string().exactOptional(),
    }),
  ),
})
export const attemptsSchema = z.object({ remainingAttempts: z.int() })

const day = z.iso.date()
export const newLinkBody = z.strictObject({
  label: z.string().min(1).max(linkLimits.labelChars).optional().describe('Shown before it is opened'),
  passcode: z.string().min(linkLimits.passcodeLeast).max(linkLimits.passcodeMost).optional(),
  expiresAt: z.iso.datetime({ offset: true }).optional().describe('28 days from now where absent'),
  direct: z.boolean().optional().describe('One file by GET, which has no passcode (flag U)'),
  types: z.array(z.enum(recordItemTypes)).min(1).optional(),
  from: day.optional().describe('Clinical day'),
  to: day.optional(),
  ids: z.array(segment).min(1).max(shareLimits.ids).optional().describe('Entries of the record, one by one'),
})
const linkSchema = z.object({
  id: z.string(),
  label: z.string().exactOptional(),
  state: z.enum(['active', 'expired', 'revoked', 'locked']),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  by: z.string(),
  passcode: z.boolean(),
  attemptsLeft: z.int().exactOptional(),
  opened: z.int(),
  recipient: z.string().exactOptional().describe('Who opened it last, by their own word'),
})
export const createdLinkSchema = z.object({
  link: linkSchema,
  uri: z.string().describe('`shlink:/…`: shown now and never again'),
  items: z.int(),
  notCarried: z.int().describe('Documents that are named in it and too large to go along'),
})
export const linksSchema = z.object({ links: z.array(linkSchema) })
export const linkOfRecordParams = recordParams.extend({ link: segment })
export const revokedSchema = z.object({ revoked: z.literal(true) })

export const takeBody = z.strictObject({
  link: z.string().min(1).max(linkLimits.pastedChars),
  passcode: z.string().min(1).max(1000).optional(),
})
export const takenSchema = z.object({
  label: z.string().exactOptional(),
  items: z.int().describe('New ones, to be looked through'),
  documents: z.array(z.object({ sha256: z.string(), match: z.enum(['match', 'mismatch', 'unknown']) })),
  issuers: z.array(z.object({ url: z.string(), verified: z.boolean(), detail: z.string() })),
  notes: z.array(z.string()).describe('What was left out, and why'),
})
