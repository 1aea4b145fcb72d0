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

/** The item with what the record knows about it. */
export const itemSchema = clinicalItem
  .extend({
    entryId: z.string().describe('Of the entry that shows this statement; stays while documents come'),
    recordId: z.string(),
    state: z
      .enum(['proposed', 'current', 'ignored', 'held', 'rejected', 'superseded'])
      .describe(
        'held: its document seems to be about somebody else; rejected: a person said that it is; superseded: replaced, by its sender or by a person',
      ),
    addedAt: moment,
    source,
    appearances: z
      .array(
        z.object({
          statement: z.string().describe('Id of the item as that document has it'),
          document: z.string(),
          entry: z.string(),
          addedAt: moment,
          source,
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
