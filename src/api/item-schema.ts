import { z } from 'zod'

/** The record item of direct/clinical.ts as a response schema, field by field. */

const coding = z.object({
  system: z.string().optional(),
  code: z.string(),
  display: z.string().optional(),
  sourceSystem: z.string().optional(),
})
const concept = z
  .object({ codings: z.array(coding), text: z.string().optional(), nullFlavor: z.string().optional() })
  .meta({ id: 'Concept' })
const partialDate = z
  .object({
    text: z.string().describe('ISO 8601 cut at the precision of the source'),
    precision: z.enum(['year', 'month', 'day', 'hour', 'minute', 'second']),
    offsetMinutes: z.number().nullable(),
    source: z.string(),
  })
  .meta({ id: 'PartialDate' })
const when = z.object({
  value: partialDate.optional(),
  low: partialDate.optional(),
  high: partialDate.optional(),
  highUnknown: z.boolean().optional(),
  text: z.string().optional(),
})
const quantity = z
  .object({ value: z.string(), unit: z.string().optional(), comparator: z.enum(['<', '<=', '>', '>=']).optional() })
  .meta({ id: 'Quantity' })
const bounds = { low: quantity.optional(), high: quantity.optional() }
const identifier = z.object({ root: z.string().optional(), value: z.string().optional() })

const value = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('quantity'), quantity }),
  z.object({ kind: z.literal('range'), ...bounds }),
  z.object({ kind: z.literal('concept'), concept }),
  z.object({ kind: z.literal('text'), text: z.string() }),
  z.object({ kind: z.literal('boolean'), value: z.boolean() }),
  z.object({ kind: z.literal('date'), date: partialDate }),
])

const timing = z.object({
  period: quantity.optional(),
  periodHigh: quantity.optional(),
  event: z.string().optional(),
  institutionSpecified: z.boolean().optional(),
  moment: partialDate.optional(),
  text: z.string().optional(),
})

const measured = {
  test: concept,
  panel: concept.optional(),
  value: value.optional(),
  interpretations: z.array(concept),
  referenceRanges: z.array(z.object({ ...bounds, text: z.string().optional() })),
  method: concept.optional(),
  specimen: concept.optional(),
}

const content = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('demographics'),
    names: z.array(
      z.object({
        given: z.array(z.string()),
        family: z.string().optional(),
        prefix: z.string().optional(),
        suffix: z.string().optional(),
        use: z.string().optional(),
      }),
    ),
    birthDate: partialDate.optional(),
    gender: concept.optional(),
    maritalStatus: concept.optional(),
    races: z.array(concept),
    ethnicities: z.array(concept),
    languages: z.array(z.string()),
    addresses: z.array(
      z.object({
        lines: z.array(z.string()),
        city: z.string().optional(),
        state: z.string().optional(),
        postalCode: z.string().optional(),
        country: z.string().optional(),
        use: z.string().optional(),
      }),
    ),
    telecoms: z.array(z.object({ value: z.string(), use: z.string().optional() })),
    identifiers: z.array(identifier),
  }),
  z.object({
    type: z.literal('allergy'),
    substance: concept,
    kind: concept.optional(),
    reactions: z.array(z.object({ manifestation: concept, severity: concept.optional() })),
    severity: concept.optional(),
    criticality: concept.optional(),
  }),
  z.object({
    type: z.literal('problem'),
    problem: concept,
    kind: concept.optional(),
    severity: concept.optional(),
    ageAtOnset: quantity.optional(),
  }),
  z.object({
    type: z.literal('medication'),
    product: concept,
    brand: concept.optional(),
    strength: quantity.optional(),
    form: concept.optional(),
    dose: quantity.optional(),
    doseRange: z.object(bounds).optional(),
    rate: quantity.optional(),
    route: concept.optional(),
    site: concept.optional(),
    timings: z.array(timing),
    asNeeded: z.boolean(),
    instructions: z.string().optional(),
    indications: z.array(concept),
    refills: z.string().optional(),
    quantity: quantity.optional(),
  }),
  z.object({
    type: z.literal('immunization'),
    vaccine: concept,
    lot: z.string().optional(),
    manufacturer: z.string().optional(),
    route: concept.optional(),
    site: concept.optional(),
    dose: quantity.optional(),
    doseNumber: z.string().optional(),
    refusalReason: concept.optional(),
  }),
  z.object({ type: z.literal('result'), ...measured }),
  z.object({ type: z.literal('vital-sign'), ...measured }),
  z.object({
    type: z.literal('procedure'),
    procedure: concept,
    bodySites: z.array(concept),
    devices: z.array(concept),
  }),
  z.object({
    type: z.literal('encounter'),
    encounter: concept,
    diagnoses: z.array(concept),
    locations: z.array(z.string()),
    disposition: concept.optional(),
  }),
  z.object({
    type: z.literal('document'),
    mediaType: z.string(),
    name: z.string().optional(),
    sizeBytes: z.int(),
    sha256: z.string(),
    format: z.string(),
    title: z.string().optional(),
    code: concept.optional(),
  }),
])

export const itemSchema = z
  .object({
    id: z.string(),
    recordId: z.string(),
    state: z.enum(['proposed', 'current', 'ignored']),
    addedAt: z.iso.datetime(),
    source: z
      .object({ messageId: z.string(), spoolId: z.string(), sender: z.string(), mailbox: z.string() })
      .describe('The message that brought it'),
    content,
    when: when.optional(),
    recordedAt: partialDate.optional(),
    status: z
      .object({
        folded: z.enum(['active', 'inactive', 'resolved', 'completed', 'planned', 'cancelled', 'unknown']),
        source: z.string().optional(),
      })
      .optional(),
    negated: z.boolean().describe('The source says that this is not so'),
    nullFlavor: z.string().optional(),
    intent: z.enum(['performed', 'planned', 'goal', 'ordered']).optional(),
    identifiers: z.array(identifier),
    provenance: z.object({
      document: z.string().describe('SHA-256 of the document; names its bytes'),
      entry: z.string(),
      section: z.string().optional(),
      authors: z.array(z.string()),
    }),
  })
  .meta({ id: 'RecordItem' })

export const itemsSchema = z.object({
  items: z.array(itemSchema),
  unreadable: z.array(z.string()).describe('Ids whose stored bytes are damaged'),
  next: z.string().optional().describe('Cursor of the next page; absent on the last'),
})
