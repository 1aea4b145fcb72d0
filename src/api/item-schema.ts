import { z } from 'zod'

/** The record item of direct/clinical.ts as a response schema, field by field. */

const coding = z.object({
  system: z.string().exactOptional(),
  code: z.string(),
  display: z.string().exactOptional(),
  sourceSystem: z.string().exactOptional(),
})
const concept = z
  .object({
    codings: z.array(coding),
    text: z.string().exactOptional(),
    nullFlavor: z.string().exactOptional(),
    qualifiers: z.array(z.object({ name: coding.exactOptional(), value: coding })).exactOptional(),
  })
  .meta({ id: 'Concept' })
const partialDate = z
  .object({
    text: z.string().describe('ISO 8601 cut at the precision of the source'),
    precision: z.enum(['year', 'month', 'day', 'hour', 'minute', 'second']),
    offsetMinutes: z.number().nullable(),
    source: z.string(),
  })
  .meta({ id: 'PartialDate' })
const when = z
  .object({
    value: partialDate.exactOptional(),
    low: partialDate.exactOptional(),
    high: partialDate.exactOptional(),
    highUnknown: z.boolean().exactOptional(),
    text: z.string().exactOptional(),
  })
  .meta({ id: 'When' })
const quantity = z
  .object({
    value: z.string(),
    unit: z.string().exactOptional(),
    comparator: z.enum(['<', '<=', '>', '>=']).exactOptional(),
  })
  .meta({ id: 'Quantity' })
const bounds = { low: quantity.exactOptional(), high: quantity.exactOptional() }
const ratio = z.object({ numerator: quantity, denominator: quantity.exactOptional() })
const identifier = z.object({ root: z.string().exactOptional(), value: z.string().exactOptional() })
const identifiers = z.array(identifier)

const value = z
  .discriminatedUnion('kind', [
    z.object({ kind: z.literal('quantity'), quantity }),
    z.object({ kind: z.literal('range'), ...bounds }),
    z.object({ kind: z.literal('ratio'), ratio }),
    z.object({ kind: z.literal('concept'), concept }),
    z.object({ kind: z.literal('text'), text: z.string() }),
    z.object({ kind: z.literal('boolean'), value: z.boolean() }),
    z.object({ kind: z.literal('date'), date: partialDate }),
    z.object({ kind: z.literal('period'), when }),
    z.object({ kind: z.literal('absent'), nullFlavor: z.string() }),
  ])
  .meta({ id: 'Value' })

const personName = z
  .object({
    given: z.array(z.string()),
    family: z.string().exactOptional(),
    prefix: z.string().exactOptional(),
    suffix: z.string().exactOptional(),
    use: z.string().exactOptional(),
    text: z.string().exactOptional(),
  })
  .meta({ id: 'PersonName' })
const address = z
  .object({
    lines: z.array(z.string()),
    city: z.string().exactOptional(),
    state: z.string().exactOptional(),
    postalCode: z.string().exactOptional(),
    country: z.string().exactOptional(),
    use: z.string().exactOptional(),
  })
  .meta({ id: 'PostalAddress' })
const telecom = z.object({ value: z.string(), use: z.string().exactOptional() })
const agent = z
  .object({
    kind: z.enum(['person', 'organization', 'device']),
    text: z.string(),
    name: personName.exactOptional(),
    organization: z.string().exactOptional(),
    role: concept.exactOptional(),
    identifiers,
    telecoms: z.array(telecom).exactOptional(),
    addresses: z.array(address).exactOptional(),
    at: partialDate.exactOptional(),
  })
  .meta({ id: 'Agent' })

const timing = z.object({
  period: quantity.exactOptional(),
  periodHigh: quantity.exactOptional(),
  event: z.string().exactOptional(),
  offset: quantity.exactOptional(),
  institutionSpecified: z.boolean().exactOptional(),
  moment: partialDate.exactOptional(),
  text: z.string().exactOptional(),
})
const direction = z.object({
  dose: quantity.exactOptional(),
  doseRange: z.object(bounds).exactOptional(),
  route: concept.exactOptional(),
  timings: z.array(timing),
  text: z.string(),
})
const reaction = z.object({
  manifestation: concept,
  severity: concept.exactOptional(),
  when: when.exactOptional(),
})
const supply = z.object({
  kind: z.enum(['order', 'dispense']),
  product: concept.exactOptional(),
  quantity: quantity.exactOptional(),
  fills: z.string().exactOptional(),
  daysSupply: quantity.exactOptional(),
  when: when.exactOptional(),
  status: z.string().exactOptional(),
  by: agent.exactOptional(),
  instructions: z.string().exactOptional(),
  identifiers,
})
const panel = z.object({
  entry: z.string(),
  code: concept.exactOptional(),
  when: when.exactOptional(),
  status: z.string().exactOptional(),
  identifiers,
})

const documentMetadata = z.object({
  level: z.enum(['full', 'limited']),
  title: z.string().exactOptional(),
  comments: z.string().exactOptional(),
  uniqueId: z.string().exactOptional(),
  mediaType: z.string().exactOptional(),
  language: z.string().exactOptional(),
  createdAt: partialDate.exactOptional(),
  serviceStart: partialDate.exactOptional(),
  serviceStop: partialDate.exactOptional(),
  class: concept.exactOptional(),
  kind: concept.exactOptional(),
  format: concept.exactOptional(),
  practiceSetting: concept.exactOptional(),
  facilityKind: concept.exactOptional(),
  confidentiality: z.array(concept).exactOptional(),
  events: z.array(concept).exactOptional(),
  authors: z.array(agent),
  patient: identifier.exactOptional(),
  sourcePatient: identifier.exactOptional(),
  submission: z
    .object({
      title: z.string().exactOptional(),
      uniqueId: z.string().exactOptional(),
      sourceId: z.string().exactOptional(),
      submittedAt: partialDate.exactOptional(),
      contentType: concept.exactOptional(),
      patient: identifier.exactOptional(),
      authors: z.array(agent),
      recipients: z.array(z.string()),
    })
    .exactOptional(),
})

const content = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('demographics'),
    names: z.array(personName),
    birthDate: partialDate.exactOptional(),
    birthPlace: address.exactOptional(),
    deceased: z.boolean().exactOptional(),
    deathDate: partialDate.exactOptional(),
    gender: concept.exactOptional(),
    birthSex: concept.exactOptional(),
    genderIdentity: concept.exactOptional(),
    maritalStatus: concept.exactOptional(),
    religion: concept.exactOptional(),
    races: z.array(concept),
    ethnicities: z.array(concept),
    languages: z.array(z.string()),
    preferredLanguage: z.string().exactOptional(),
    addresses: z.array(address),
    telecoms: z.array(telecom),
    identifiers,
    contacts: z.array(agent).exactOptional(),
    provider: agent.exactOptional(),
  }),
  z.object({
    type: z.literal('allergy'),
    substance: concept,
    kind: concept.exactOptional(),
    reactions: z.array(reaction),
    severity: concept.exactOptional(),
    criticality: concept.exactOptional(),
  }),
  z.object({
    type: z.literal('problem'),
    problem: concept,
    kind: concept.exactOptional(),
    severity: concept.exactOptional(),
    ageAtOnset: quantity.exactOptional(),
    bodySites: z.array(concept).exactOptional(),
    diagnosedAt: partialDate.exactOptional(),
    prognosis: value.exactOptional(),
    causedDeath: z.boolean().exactOptional(),
  }),
  z.object({
    type: z.literal('medication'),
    product: concept,
    brand: concept.exactOptional(),
    strength: quantity.exactOptional(),
    strengths: z.array(quantity).exactOptional(),
    form: concept.exactOptional(),
    manufacturer: z.string().exactOptional(),
    dose: quantity.exactOptional(),
    doseRange: z.object(bounds).exactOptional(),
    rate: quantity.exactOptional(),
    maxDose: ratio.exactOptional(),
    route: concept.exactOptional(),
    site: concept.exactOptional(),
    vehicles: z.array(concept).exactOptional(),
    timings: z.array(timing),
    asNeeded: z.boolean(),
    directions: z.array(direction).exactOptional(),
    preconditions: z.array(concept).exactOptional(),
    instructions: z.string().exactOptional(),
    indications: z.array(concept),
    refusalReason: concept.exactOptional(),
    refills: z.string().exactOptional(),
    quantity: quantity.exactOptional(),
    supplies: z.array(supply).exactOptional(),
    reactions: z.array(reaction).exactOptional(),
    adherence: concept.exactOptional(),
  }),
  z.object({
    type: z.literal('immunization'),
    vaccine: concept,
    lot: z.string().exactOptional(),
    manufacturer: z.string().exactOptional(),
    expiresAt: partialDate.exactOptional(),
    route: concept.exactOptional(),
    site: concept.exactOptional(),
    dose: quantity.exactOptional(),
    doseNumber: z.string().exactOptional(),
    refusalReason: concept.exactOptional(),
    indications: z.array(concept).exactOptional(),
    reactions: z.array(reaction).exactOptional(),
    instructions: z.string().exactOptional(),
  }),
  z.object({
    type: z.enum(['result', 'vital-sign', 'social-history', 'functional-status']),
    test: concept,
    panel: panel.exactOptional(),
    value: value.exactOptional(),
    otherValues: z.array(value).exactOptional(),
    interpretations: z.array(concept),
    referenceRanges: z.array(
      z.object({ ...bounds, text: z.string().exactOptional(), interpretation: concept.exactOptional() }),
    ),
    method: concept.exactOptional(),
    specimen: concept.exactOptional(),
    bodySites: z.array(concept).exactOptional(),
    components: z.array(z.object({ test: concept, value: value.exactOptional() })).exactOptional(),
  }),
  z.object({
    type: z.literal('procedure'),
    procedure: concept,
    bodySites: z.array(concept),
    devices: z.array(concept),
    indications: z.array(concept).exactOptional(),
    methods: z.array(concept).exactOptional(),
    approaches: z.array(concept).exactOptional(),
    specimens: z.array(concept).exactOptional(),
    locations: z.array(z.string()).exactOptional(),
    refusalReason: concept.exactOptional(),
    instructions: z.string().exactOptional(),
    value: value.exactOptional(),
    complications: z.array(concept).exactOptional(),
  }),
  z.object({
    type: z.literal('encounter'),
    encounter: concept,
    class: concept.exactOptional(),
    diagnoses: z.array(concept),
    indications: z.array(concept).exactOptional(),
    locations: z.array(z.string()),
    locationKinds: z.array(concept).exactOptional(),
    disposition: concept.exactOptional(),
  }),
  z.object({
    type: z.literal('family-history'),
    relation: concept,
    name: personName.exactOptional(),
    gender: concept.exactOptional(),
    birthDate: partialDate.exactOptional(),
    deceased: z.boolean().exactOptional(),
    deathDate: partialDate.exactOptional(),
    ageAtDeath: quantity.exactOptional(),
    conditions: z.array(
      z.object({
        condition: concept,
        kind: concept.exactOptional(),
        when: when.exactOptional(),
        ageAtOnset: quantity.exactOptional(),
        causedDeath: z.boolean().exactOptional(),
        negated: z.boolean(),
        status: concept.exactOptional(),
      }),
    ),
  }),
  z.object({
    type: z.literal('advance-directive'),
    directive: concept,
    value: value.exactOptional(),
    verifiers: z.array(agent),
    agents: z.array(agent),
    documents: z.array(
      z.object({ identifiers, mediaType: z.string().exactOptional(), reference: z.string().exactOptional() }),
    ),
  }),
  z.object({
    type: z.literal('insurance'),
    coverage: concept,
    planName: z.string().exactOptional(),
    payer: agent.exactOptional(),
    memberIdentifiers: identifiers,
    groupNumber: z.string().exactOptional(),
    relationship: concept.exactOptional(),
    subscriber: agent.exactOptional(),
    subscriberBirthDate: partialDate.exactOptional(),
    guarantor: agent.exactOptional(),
    priority: z.string().exactOptional(),
    authorizations: z.array(concept).exactOptional(),
  }),
  z.object({
    type: z.literal('device'),
    device: concept,
    udi: z.string().exactOptional(),
    deviceIdentifier: z.string().exactOptional(),
    manufacturer: z.string().exactOptional(),
    model: z.string().exactOptional(),
    serial: z.string().exactOptional(),
    lot: z.string().exactOptional(),
    brand: z.string().exactOptional(),
    distinctIdentifier: z.string().exactOptional(),
    safety: z.array(concept).exactOptional(),
    manufacturedAt: partialDate.exactOptional(),
    expiresAt: partialDate.exactOptional(),
    quantity: quantity.exactOptional(),
    bodySites: z.array(concept),
  }),
  z.object({
    type: z.literal('goal'),
    goal: concept,
    target: value.exactOptional(),
    priority: concept.exactOptional(),
    reasons: z.array(concept).exactOptional(),
    instructions: z.string().exactOptional(),
  }),
  z.object({
    type: z.literal('plan'),
    activity: concept,
    instructions: z.string().exactOptional(),
    indications: z.array(concept),
    value: value.exactOptional(),
  }),
  z.object({
    type: z.literal('care-team'),
    name: z.string().exactOptional(),
    kind: concept.exactOptional(),
    members: z.array(z.object({ agent, when: when.exactOptional(), status: z.string().exactOptional() })),
  }),
  z.object({ type: z.literal('note'), kind: concept, title: z.string().exactOptional(), text: z.string() }),
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
    custodian: agent.exactOptional(),
    set: identifier.exactOptional(),
    versionNumber: z.string().exactOptional(),
    related: z.array(z.object({ kind: z.string(), identifiers })).exactOptional(),
    metadata: documentMetadata.exactOptional(),
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
      concept: concept.exactOptional(),
    })
    .exactOptional(),
  negated: z.boolean().describe('The source says that this is not so'),
  nullFlavor: z.string().exactOptional(),
  intent: z.enum(['performed', 'planned', 'goal', 'ordered']).exactOptional(),
  mood: z.string().exactOptional(),
  performers: z.array(agent).exactOptional(),
  notes: z.array(z.string()).exactOptional(),
  labels: z.array(coding).exactOptional().describe('Confidentiality and other security labels'),
  references: z.array(z.object({ kind: z.string(), identifiers })).exactOptional(),
  identifiers,
  provenance: z.object({
    document: z.string().describe('SHA-256 of the document; names its bytes'),
    entry: z.string(),
    section: z.string().exactOptional(),
    authors: z.array(agent).describe('Nearest first'),
    informants: z.array(agent).exactOptional(),
  }),
})

const source = z
  .object({ messageId: z.string(), spoolId: z.string(), sender: z.string(), mailbox: z.string() })
  .describe('The message that brought it')

const moment = z.string().meta({ format: 'date-time', description: 'RFC 3339, UTC' })

const stamp = z
  .object({
    at: moment,
    actor: z
      .object({
        by: z.string(),
        avenue: z.enum(['page', 'online', 'offline', 'direct', 'link', 'operator']),
        person: z.string().exactOptional(),
        app: z.string().exactOptional(),
        masterApp: z.string().exactOptional(),
      })
      .exactOptional()
      .describe('Absent where a document told it; applications are told of themselves only'),
  })
  .meta({ id: 'Stamp' })

const blob = z.object({ name: z.string(), mediaType: z.string(), sha256: z.string(), sizeBytes: z.int() })

/** The item with what the record knows about it. */
export const itemSchema = clinicalItem
  .extend({
    entryId: z.string().describe('Of the entry that shows this statement; stays while documents come'),
    recordId: z.string(),
    state: z
      .enum(['proposed', 'current', 'ignored', 'held', 'rejected', 'superseded', 'deleted'])
      .describe(
        'held: its document seems to be about somebody else; rejected: a person said that it is; superseded: replaced, by its sender or by a person',
      ),
    addedAt: moment,
    source: source.exactOptional(),
    created: stamp,
    updated: stamp,
    flags: z.object({ personal: z.boolean().exactOptional(), readOnly: z.boolean().exactOptional() }).exactOptional(),
    clientId: z.string().exactOptional(),
    tags: z.array(z.string()).exactOptional(),
    related: z.array(z.object({ item: z.string(), kind: z.string() })).exactOptional(),
    blobs: z.array(blob).exactOptional(),
    endsAt: z.string().exactOptional().describe('Day on which it ends or ended'),
    appearances: z
      .array(
        z.object({
          statement: z.string().describe('Id of the item as that document has it'),
          document: z.string(),
          entry: z.string(),
          addedAt: moment,
          source: source.exactOptional(),
          standing: z.enum(['shown', 'same', 'waits', 'superseded']),
        }),
      )
      .describe('Every statement that says the same, the shown one among them'),
    conflicts: z
      .array(z.object({ field: z.string(), statements: z.array(z.string()) }))
      .describe('What statements do not agree on: one statement for each thing said'),
    review: z
      .array(z.enum(['new', 'version', 'conflict', 'contradiction', 'withdrawn']))
      .describe('Why a person should look at it'),
    withheld: z.boolean().describe('It has a security label for which it leaves only when picked by itself'),
    version: z.string().describe('Changes with the entry; name it in a decision'),
  })
  .meta({ id: 'RecordItem' })

export const itemsSchema = z.object({
  items: z.array(itemSchema),
  unreadable: z.array(z.string()).describe('Ids whose stored bytes are damaged'),
  next: z.string().exactOptional().describe('Cursor of the next page; absent on the last'),
})

/** One version of an entry. */
export const historySchema = z.object({
  versions: z.array(
    z.object({
      operation: z.enum(['create', 'update', 'delete', 'restore']),
      by: stamp,
      item: clinicalItem.exactOptional(),
      decision: z.string().exactOptional().describe('Id of the decision that did it'),
    }),
  ),
})

// --- What is written ---

const written = new WeakMap<z.ZodType, z.ZodType>()

/**
 * The same schema for what somebody writes: fields that it does not name are refused, in every depth, so that nothing is set
 * in passing.
 */
function strict(schema: z.ZodType): z.ZodType {
  const known = written.get(schema)
  if (known) return known
  const made = strictly(schema)
  const { id } = schema.meta() ?? {}
  const named = id === undefined ? made : made.meta({ id: `Written${id}` })
  written.set(schema, named)
  return named
}

function strictly(schema: z.ZodType): z.ZodType {
  if (schema === partialDate) return writtenDate
  if (schema instanceof z.ZodObject) {
    const fields = Object.entries(schema.shape).map(([name, field]) => [name, strict(field as z.ZodType)] as const)
    return z.strictObject(Object.fromEntries(fields))
  }
  if (schema instanceof z.ZodArray) return z.array(strict(schema.element as z.ZodType)).max(1000)
  if (schema instanceof z.ZodExactOptional) return z.exactOptional(strict(schema.unwrap() as z.ZodType))
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const options = schema.options.map((option) => strict(option as z.ZodType) as z.ZodObject)
    return z.discriminatedUnion(schema.def.discriminator, options as [z.ZodObject, ...z.ZodObject[]])
  }
  return schema instanceof z.ZodString ? z.string().max(65_536) : schema
}

const precisions = [
  ['year', /^\d{4}$/],
  ['month', /^\d{4}-\d\d$/],
  ['day', /^\d{4}-\d\d-\d\d$/],
  ['hour', /^\d{4}-\d\d-\d\dT\d\d$/],
  ['minute', /^\d{4}-\d\d-\d\dT\d\d:\d\d$/],
  ['second', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?$/],
] as const

/** A date as documents are read into: ISO 8601 as precise as it says, and in the calendar. */
const writtenDate = z
  .strictObject({
    text: z.string().max(40).describe('ISO 8601 cut at its precision'),
    precision: z.enum(['year', 'month', 'day', 'hour', 'minute', 'second']),
    offsetMinutes: z.int().min(-1440).max(1440).nullable(),
    source: z.string().max(200),
  })
  .refine(({ text, precision }) => isDate(text, precision), 'Not an ISO 8601 date of this precision')

function isDate(text: string, precision: string): boolean {
  if (!precisions.some(([name, form]) => name === precision && form.test(text))) return false
  const whole = `${text}${'0000-01-01T00:00:00'.slice(text.length)}`.slice(0, 19)
  const date = new Date(`${whole}Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(whole)
}

const {
  content: saysSchema,
  when: whenSchema,
  recordedAt,
  status,
  nullFlavor,
  intent,
  performers,
  notes,
  labels,
} = clinicalItem.shape

/** What somebody writes: nothing of ids, versions, provenance or authors is among it. */
export const authoredSchema = z
  .strictObject({
    content: strict(saysSchema),
    when: strict(whenSchema),
    recordedAt: strict(recordedAt).describe('When it was written down, where that was before'),
    status: strict(status),
    negated: z.boolean().default(false),
    nullFlavor: strict(nullFlavor),
    intent: strict(intent),
    performers: strict(performers),
    notes: strict(notes),
    labels: strict(labels),
    identifiers: z.array(strict(identifier)).max(100).default([]),
    clientId: z.string().min(1).max(255).exactOptional().describe("The application's own id; unique among its own"),
    flags: z
      .strictObject({ personal: z.boolean().exactOptional(), readOnly: z.boolean().exactOptional() })
      .exactOptional()
      .describe('personal: custodians alone see it, and set it; readOnly: only at creation'),
    related: z
      .array(z.strictObject({ item: z.string().max(400), kind: z.string().max(255) }))
      .max(100)
      .exactOptional(),
    tags: z.array(z.string().max(512)).max(50).exactOptional(),
    blobs: z
      .array(
        z.strictObject({
          name: z.string().max(255).describe('Empty for the content itself'),
          mediaType: z.string().max(300),
          sha256: z.string().length(64),
          sizeBytes: z.int().min(0),
        }),
      )
      .max(50)
      .exactOptional(),
    endsAt: z.iso.date().exactOptional(),
  })
  .meta({ id: 'WrittenItem' })

const entryName = z.string().min(1).max(400)
const versionName = z.string().min(1).max(100).exactOptional()

export const changesBody = z.strictObject({
  changes: z
    .array(
      z.discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('create'), item: authoredSchema }),
        z.strictObject({ kind: z.literal('update'), entry: entryName, version: versionName, item: authoredSchema }),
        z.strictObject({ kind: z.literal('delete'), entry: entryName, version: versionName }),
        z.strictObject({ kind: z.literal('restore'), entry: entryName, version: versionName }),
      ]),
    )
    .min(1)
    .max(200),
})

const itemVersion = z.object({
  id: z.string(),
  version: z.string().describe('Name it when you change the item next'),
  repeated: z.literal(true).exactOptional().describe('It was created before, under the same client id'),
})

export const putSchema = z.object({
  sequence: z.int().describe('Of the commit, shared by all that it changed'),
  items: z.array(itemVersion),
})

export const putOneSchema = itemVersion.extend({ sequence: z.int() })

export const feedSchema = z.object({
  changes: z.array(
    z.object({
      sequence: z.int(),
      operation: z.enum(['create', 'update', 'delete', 'restore']),
      id: z.string(),
      type: z.string(),
      at: moment,
    }),
  ),
  latest: z.int().describe('Sequence number of the last commit'),
  next: z.string().describe('Cursor of what comes next, also where there is nothing yet'),
  more: z.boolean(),
})

export const uploadBody = z.strictObject({
  sizeBytes: z.int().min(1).describe('Of the whole'),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .exactOptional()
    .describe('Of the whole, where it is known already'),
})

export const uploadSchema = z.object({
  id: z.string(),
  sizeBytes: z.int(),
  offset: z.int().describe('Bytes that are durable: where the next piece begins'),
  expiresAt: moment,
  pieceBytes: z.int().describe('Largest piece'),
  sha256: z.string().exactOptional().describe('Once all of it is there: an item names the blob by it'),
})
