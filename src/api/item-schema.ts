import { z } from 'zod'

/** The record item of direct/clinical.ts as a response schema, field by field. */

const coding = z.object({
  system: z.string().exactOptional(),
  code: z.string(),
  display: z.string().exactOptional(),
  sourceSystem: z.string().exactOptional(),
})
const concept = z
  .object({ codings: z.array(coding), text: z.string().exactOptional(), nullFlavor: z.string().exactOptional() })
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
  value: partialDate.exactOptional(),
  low: partialDate.exactOptional(),
  high: partialDate.exactOptional(),
  highUnknown: z.boolean().exactOptional(),
  text: z.string().exactOptional(),
})
const quantity = z
  .object({
    value: z.string(),
    unit: z.string().exactOptional(),
    comparator: z.enum(['<', '<=', '>', '>=']).exactOptional(),
  })
  .meta({ id: 'Quantity' })
const bounds = { low: quantity.exactOptional(), high: quantity.exactOptional() }
const identifier = z.object({ root: z.string().exactOptional(), value: z.string().exactOptional() })

const value = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('quantity'), quantity }),
  z.object({ kind: z.literal('range'), ...bounds }),
  z.object({ kind: z.literal('concept'), concept }),
  z.object({ kind: z.literal('text'), text: z.string() }),
  z.object({ kind: z.literal('boolean'), value: z.boolean() }),
  z.object({ kind: z.literal('date'), date: partialDate }),
])

const timing = z.object({
  period: quantity.exactOptional(),
  periodHigh: quantity.exactOptional(),
  event: z.string().exactOptional(),
  offset: quantity.exactOptional(),
  institutionSpecified: z.boolean().exactOptional(),
  moment: partialDate.exactOptional(),
  text: z.string().exactOptional(),
})

const measured = {
  test: concept,
  panel: concept.exactOptional(),
  value: value.exactOptional(),
  interpretations: z.array(concept),
  referenceRanges: z.array(z.object({ ...bounds, text: z.string().exactOptional() })),
  method: concept.exactOptional(),
  specimen: concept.exactOptional(),
}

const content = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('demographics'),
    names: z.array(
      z.object({
        given: z.array(z.string()),
        family: z.string().exactOptional(),
        prefix: z.string().exactOptional(),
        suffix: z.string().exactOptional(),
        use: z.string().exactOptional(),
        text: z.string().exactOptional(),
      }),
    ),
    birthDate: partialDate.exactOptional(),
    gender: concept.exactOptional(),
    maritalStatus: concept.exactOptional(),
    races: z.array(concept),
    ethnicities: z.array(concept),
    languages: z.array(z.string()),
    addresses: z.array(
      z.object({
        lines: z.array(z.string()),
        city: z.string().exactOptional(),
        state: z.string().exactOptional(),
        postalCode: z.string().exactOptional(),
        country: z.string().exactOptional(),
        use: z.string().exactOptional(),
      }),
    ),
    telecoms: z.array(z.object({ value: z.string(), use: z.string().exactOptional() })),
    identifiers: z.array(identifier),
  }),
  z.object({
    type: z.literal('allergy'),
    substance: concept,
    kind: concept.exactOptional(),
    reactions: z.array(z.object({ manifestation: concept, severity: concept.exactOptional() })),
    severity: concept.exactOptional(),
    criticality: concept.exactOptional(),
  }),
  z.object({
    type: z.literal('problem'),
    problem: concept,
    kind: concept.exactOptional(),
    severity: concept.exactOptional(),
    ageAtOnset: quantity.exactOptional(),
  }),
  z.object({
    type: z.literal('medication'),
    product: concept,
    brand: concept.exactOptional(),
    strength: quantity.exactOptional(),
    form: concept.exactOptional(),
    dose: quantity.exactOptional(),
    doseRange: z.object(bounds).exactOptional(),
    rate: quantity.exactOptional(),
    route: concept.exactOptional(),
    site: concept.exactOptional(),
    timings: z.array(timing),
    asNeeded: z.boolean(),
    instructions: z.string().exactOptional(),
    indications: z.array(concept),
    refills: z.string().exactOptional(),
    quantity: quantity.exactOptional(),
  }),
  z.object({
    type: z.literal('immunization'),
    vaccine: concept,
    lot: z.string().exactOptional(),
    manufacturer: z.string().exactOptional(),
    route: concept.exactOptional(),
    site: concept.exactOptional(),
    dose: quantity.exactOptional(),
    doseNumber: z.string().exactOptional(),
    refusalReason: concept.exactOptional(),
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
    disposition: concept.exactOptional(),
  }),
  z.object({
    type: z.literal('document'),
    mediaType: z.string(),
    name: z.string().exactOptional(),
    sizeBytes: z.int(),
    sha256: z.string(),
    format: z.enum([
      'ccr',
      'c32',
      'ccd',
      'c-cda',
      'cda',
      'xdm',
      'xml',
      'zip',
      'pdf',
      'image',
      'text',
      'html',
      'rtf',
      'other',
    ]),
    formatVersion: z.string().exactOptional(),
    title: z.string().exactOptional(),
    code: concept.exactOptional(),
  }),
])

/** What direct/clinical.ts calls a record item; a test proves at compile time that they are the same. */
export const clinicalItem = z.object({
  id: z.string(),
  content,
  when: when.exactOptional(),
  recordedAt: partialDate.exactOptional(),
  status: z
    .object({
      folded: z.enum(['active', 'inactive', 'resolved', 'completed', 'planned', 'cancelled', 'unknown']),
      source: z.string().exactOptional(),
    })
    .exactOptional(),
  negated: z.boolean().describe('The source says that this is not so'),
  nullFlavor: z.string().exactOptional(),
  intent: z.enum(['performed', 'planned', 'goal', 'ordered']).exactOptional(),
  identifiers: z.array(identifier),
  provenance: z.object({
    document: z.string().describe('SHA-256 of the document; names its bytes'),
    entry: z.string(),
    section: z.string().exactOptional(),
    authors: z.array(z.string()),
  }),
})

/** The item with what the record knows about it. */
export const itemSchema = clinicalItem
  .extend({
    recordId: z.string(),
    state: z.enum(['proposed', 'current', 'ignored']),
    addedAt: z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' }),
    source: z
      .object({ messageId: z.string(), spoolId: z.string(), sender: z.string(), mailbox: z.string() })
      .describe('The message that brought it'),
  })
  .meta({ id: 'RecordItem' })

export const itemsSchema = z.object({
  items: z.array(itemSchema),
  unreadable: z.array(z.string()).describe('Ids whose stored bytes are damaged'),
  next: z.string().exactOptional().describe('Cursor of the next page; absent on the last'),
})
