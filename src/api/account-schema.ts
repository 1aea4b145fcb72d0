import { z } from 'zod'

/** Shapes of accounts. Nothing that proves anybody is in an answer, but for what is shown once. */
const time = z.string().meta({ format: 'date-time' })
const text = z.string().max(400)
const password = z.string().max(1024)
const secret = z.string().max(64).describe('From the link of a letter')
const email = z.string().max(320)
const ticket = z.string().max(64)
const day = z.iso.date()
/** What navigator.credentials answers, in JSON (WebAuthn Level 3 §5.1). */
const response = z.record(z.string(), z.unknown())

export const idParams = z.object({ id: z.string().min(1).max(1400) })
export const linkBody = z.strictObject({ code: secret })
export const emailBody = z.strictObject({ email })
export const signUpBody = z.strictObject({
  email,
  name: text,
  language: z.string().max(35).default('en'),
  birthDate: day.optional(),
})
export const confirmBody = z.strictObject({
  code: secret,
  name: text.optional(),
  factor: z.union([
    z.strictObject({ kind: z.literal('password'), password }),
    z.strictObject({ kind: z.literal('passkey'), ticket, response, label: text.default('Passkey') }),
  ]),
})
export const signInBody = z.strictObject({ email, password })
export const proofBody = z.union([
  z.strictObject({ kind: z.literal('totp'), code: z.string().max(20) }),
  z.strictObject({ kind: z.literal('recovery-code'), code: z.string().max(64) }),
  z.strictObject({ kind: z.literal('passkey'), ticket, response }),
])
export const secondFactorBody = z.strictObject({ ticket, proof: proofBody })
export const passkeyBody = z.strictObject({ ticket, response, label: text.default('Passkey') })
export const finishBody = z.strictObject({ code: secret, password, proof: proofBody.optional() })
export const proveBody = z.union([
  z.strictObject({ password, code: z.string().max(64).optional() }),
  z.strictObject({ ticket, response }),
])
export const passwordBody = z.strictObject({ password })
export const totpBody = z.strictObject({ ticket, code: z.string().max(20) })
export const accountBody = z.strictObject({
  name: text.optional(),
  language: z.string().max(35).optional(),
  birthDate: day.optional(),
})

export const sentSchema = z.object({ kind: z.literal('sent') })
export const doneSchema = z.object({ kind: z.literal('done') })
export const waitingSchema = z.object({ kind: z.literal('waiting'), readyAt: time })
export const optionsSchema = z.object({ ticket: z.string(), options: z.record(z.string(), z.unknown()) })
export const signedInSchema = z.object({
  kind: z.enum(['signed-in', 'second-factor']),
  ticket: z.string().optional().describe('For the second factor'),
  ways: z.array(z.enum(['totp', 'passkey', 'recovery-code'])).optional(),
  session: z.string().optional(),
  level: z.enum(['one-factor', 'two-factors']).optional(),
  csrf: z.string().optional().describe('For the header `x-csrf-token` of every change'),
  limited: z.boolean().optional().describe('Only the account is reached until a second factor is set up'),
  endsAt: time.optional(),
})
export const setUpSchema = signedInSchema.extend({ recoveryCodes: z.array(z.string()).describe('Shown once') })
export const codesSchema = z.object({ recoveryCodes: z.array(z.string()).describe('Shown once') })
export const totpSchema = z.object({ ticket: z.string(), secret: z.string(), uri: z.string() })
export const recoverySchema = z.object({
  ways: z.array(z.enum(['totp', 'passkey', 'recovery-code'])),
  ready: z.boolean(),
  waitsUntil: time.optional(),
})
export const accountSchema = z
  .object({
    ...{ id: z.string(), name: z.string(), email: z.string(), language: z.string(), birthDate: z.string().optional() },
    state: z.enum(['active', 'suspended', 'closed']),
    csrf: z.string(),
    factors: z.object({
      password: z.boolean(),
      totp: z.object({ addedAt: time }).optional(),
      passkeys: z.array(z.object({ id: z.string(), label: z.string(), addedAt: time, backedUp: z.boolean() })),
      recoveryCodesLeft: z.int(),
      recovery: z.object({ begunAt: time, readyAt: time }).optional(),
    }),
  })
  .meta({ id: 'Account' })
export const sessionsSchema = z.object({
  sessions: z.array(
    z.object({
      ...{ id: z.string(), level: z.enum(['one-factor', 'two-factors']), agent: z.string(), address: z.string() },
      ...{ startedAt: time, seenAt: time, endsAt: time, current: z.boolean() },
    }),
  ),
})
