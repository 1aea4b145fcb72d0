import type { CareTeam, Demographics, FamilyHistory, Insurance } from '../../../direct/clinical.js'
import type { Agent, Concept } from '../../../direct/datatypes.js'
import { definitions, hl7, own, usCore } from '../datatypes.js'
import {
  filled,
  kept,
  partialDate,
  readAddress,
  readCoding,
  readConcept,
  readConcepts,
  readDate,
  readIdentifier,
  readName,
  readPeriod,
  readQuantity,
  readTelecom,
} from './datatypes.js'
import type { Fields } from './fields.js'
import {
  active,
  cancelled,
  completed,
  made,
  mustBeOfPatient,
  nullified,
  type ReadItem,
  type Reading,
  readAgent,
  readNotes,
  readStatus,
  type Status,
} from './reading.js'

const genders: Readonly<Record<string, string>> = { male: 'M', female: 'F', other: 'UN' }

/** AdministrativeGender in HL7 v3's own codes; undefined for `unknown`. */
function readGender(fields: Fields, name: string): Concept | undefined {
  const code = fields.text(name)
  if (code === undefined || code === 'unknown') return undefined
  const known = Object.hasOwn(genders, code) ? genders[code] : undefined
  if (known === undefined) return fields.log.error('value', `${fields.path}.${name}`, 'This is not a gender of FHIR')
  return { codings: [{ system: `${hl7}/v3-AdministrativeGender`, code: known }] }
}

function readHeritage(fields: Fields, name: string): Concept[] {
  return fields.extensions(`${usCore}/us-core-${name}`).flatMap((one) => {
    const codings = ['ombCategory', 'detailed'].flatMap((url) =>
      one.extensions(url).flatMap((part) => part.object('valueCoding') ?? []),
    )
    const [text] = one.extensions('text')
    const words = text?.text('valueString')
    const all = codings.flatMap((part): Concept[] => {
      const read = readCoding(part)
      if (!read) return []
      if (read.system === `${hl7}/v3-NullFlavor`) return [{ codings: [], nullFlavor: read.code }]
      return [kept<Concept>({ codings: [read], text: read.display })]
    })
    return all.length > 0 || words === undefined ? all : [{ codings: [], text: words }]
  })
}

/** The patient of the record. Its id and the identifier that we gave are the record's, not the item's. */
export function readPatient(reading: Reading, base: string | undefined): ReadItem {
  const { fields, log } = reading
  fields.skip('active')
  const died = fields.choice('deceased')
  const deathDate = died === 'DateTime' ? readDate(fields, 'deceasedDateTime') : undefined
  const [birthSex] = fields.extensions(`${usCore}/us-core-birthsex`)
  const [identity] = fields.extensions(`${usCore}/us-core-genderIdentity`)
  const [religion] = fields.extensions(`${definitions}/patient-religion`)
  const [birthPlace] = fields.extensions(`${definitions}/patient-birthPlace`)
  const born = birthPlace?.object('valueAddress')
  const sex = birthSex?.text('valueCode')
  const languages = fields.list('communication').map((one) => {
    const concept = readConcept(one.object('language'))
    return { tag: concept?.codings[0]?.code ?? concept?.text, preferred: one.flag('preferred') === true }
  })
  const contacts = fields.list('contact').flatMap((one): Agent[] => {
    for (const name of ['gender', 'period']) one.skip(name, 'Not kept')
    const place = one.object('organization')
    const named = one.object('name')
    const name = named && readName(named)
    const [role] = readConcepts(one, 'relationship')
    const lodging = one.object('address')
    const text = place
      ? readAgent(reading, place)?.text
      : (name?.text ?? [...(name?.given ?? []), name?.family ?? ''].join(' ').trim())
    if (text === undefined || text === '') return log.error('required', one.path, 'A contact has a name') ?? []
    return [
      kept<Agent>({
        ...{ kind: place ? 'organization' : 'person', text, name, role, identifiers: [] },
        telecoms: filled(one.list('telecom').flatMap((each) => readTelecom(each) ?? [])),
        addresses: lodging && [readAddress(lodging)],
      }),
    ]
  })
  const given = fields
    .list('identifier')
    .flatMap((one) =>
      base !== undefined && one.text('system') === `${base}/Patient` ? [] : (readIdentifier(one) ?? []),
    )
  const { identifiers: _, ...shared } = made(reading, {
    content: kept<Demographics>({
      type: 'demographics',
      names: fields.list('name').flatMap((one) => readName(one) ?? []),
      birthDate: readDate(fields, 'birthDate'),
      birthPlace: born && readAddress(born),
      deceased: died === 'Boolean' ? fields.flag('deceasedBoolean') : undefined,
      deathDate,
      gender: readGender(fields, 'gender'),
      birthSex: sex === undefined ? undefined : { codings: [{ system: `${hl7}/v3-AdministrativeGender`, code: sex }] },
      genderIdentity: identity && readConcept(identity.object('valueCodeableConcept')),
      maritalStatus: readConcept(fields.object('maritalStatus')),
      religion: religion && readConcept(religion.object('valueCodeableConcept')),
      races: readHeritage(fields, 'race'),
      ethnicities: readHeritage(fields, 'ethnicity'),
      languages: languages.flatMap(({ tag }) => tag ?? []),
      preferredLanguage: languages.find(({ preferred }) => preferred)?.tag,
      addresses: fields.list('address').map(readAddress),
      telecoms: fields.list('telecom').flatMap((one) => readTelecom(one) ?? []),
      identifiers: given,
      contacts: filled(contacts),
      provider: readAgent(reading, fields.object('managingOrganization')),
    }),
  })
  return { ...shared, identifiers: [] }
}

const told: Readonly<Record<string, Status>> = {
  completed,
  partial: { folded: 'unknown', source: 'partial' },
  'entered-in-error': nullified,
}

/** One relative. A date that is only words of an age stays words. */
export function readFamilyHistory(reading: Reading): ReadItem {
  const { fields } = reading
  mustBeOfPatient(reading, 'patient')
  const known = readStatus(reading, 'status', told)
  const name = fields.text('name')
  const born = fields.choice('born')
  const died = fields.choice('deceased')
  const at = readDate(fields, 'date')
  const relation = readConcept(fields.object('relationship'))
  if (!relation) fields.log.error('required', `${fields.path}.relationship`, 'This is missing')
  const sex = readConcept(fields.object('sex'))?.codings[0]?.code
  const conditions = fields.list('condition').map((one) => {
    const [kind] = one.extensions(`${own}:kind`)
    const onset = one.choice('onset')
    const words = onset === 'String' ? one.text('onsetString') : undefined
    const began = words === undefined ? undefined : partialDate(words)
    if (words !== undefined && !began)
      one.log.error('not-supported', `${one.path}.onsetString`, 'The record keeps an age or a date')
    const condition = readConcept(one.object('code'))
    if (!condition) one.log.error('required', `${one.path}.code`, 'This is missing')
    const status = readNotes(one)
    const [word] = status ?? []
    return kept<FamilyHistory['conditions'][number]>({
      condition: condition ?? { codings: [] },
      kind: kind && readConcept(kind.object('valueCodeableConcept')),
      when: began && { low: began },
      ageAtOnset: onset === 'Age' ? readQuantity(one.object('onsetAge')) : undefined,
      causedDeath: one.flag('contributedToDeath'),
      negated: false,
      status: word === undefined ? undefined : { codings: [], text: word.replace(/^Status: /, '') },
    })
  })
  return made(reading, {
    content: kept<FamilyHistory>({
      type: 'family-history',
      relation: relation ?? { codings: [] },
      name: name === undefined ? undefined : { given: [], text: name },
      gender:
        sex === undefined
          ? undefined
          : { codings: [{ system: 'http://hl7.org/fhir/administrative-gender', code: sex }] },
      birthDate: born === 'Date' ? readDate(fields, 'bornDate') : undefined,
      deceased: died === 'Boolean' ? fields.flag('deceasedBoolean') : undefined,
      deathDate: died === 'Date' ? readDate(fields, 'deceasedDate') : undefined,
      ageAtDeath: died === 'Age' ? readQuantity(fields.object('deceasedAge')) : undefined,
      conditions,
    }),
    status: known?.status,
    when: at && { value: at },
    notes: readNotes(fields),
  })
}

const covered: Readonly<Record<string, Status>> = {
  active,
  cancelled,
  draft: { folded: 'planned', source: 'draft' },
  'entered-in-error': nullified,
}

export function readCoverage(reading: Reading): ReadItem {
  const { fields, log, resolve } = reading
  mustBeOfPatient(reading, 'beneficiary')
  const known = readStatus(reading, 'status', covered)
  const isMember = (one: Fields) => readConcept(one.object('type'))?.codings.some(({ code }) => code === 'MB') === true
  const all = fields.list('identifier')
  const members = all.filter(isMember).flatMap((one) => readIdentifier(one) ?? [])
  const others = all.filter((one) => !isMember(one)).flatMap((one) => readIdentifier(one) ?? [])
  const number = fields.text('subscriberId')
  const reference = fields.object('subscriber')
  const target = resolve(reference?.text('reference') ?? '')
  const birthDate = target && readDate(target, 'birthDate')
  const payers = fields.list('payor')
  const [payer] = payers.flatMap((one) =>
    one.has('extension') && !one.has('reference') ? [] : (readAgent(reading, one) ?? []),
  )
  for (const one of payers) one.extensions(`${definitions}/data-absent-reason`)[0]?.skip('valueCode')
  if (payers.length > 1) log.error('not-supported', `${fields.path}.payor`, 'The record keeps one payer')
  const classes = fields.list('class').map((one) => {
    one.skip('name')
    return { code: readConcept(one.object('type'))?.codings[0]?.code, value: one.text('value') }
  })
  if (classes.some(({ code }) => code !== 'group' && code !== 'plan'))
    log.error('not-supported', `${fields.path}.class`, 'The record keeps a group and a plan')
  const [guarantor] = fields.extensions(`${own}:guarantor`)
  const sponsor = guarantor?.text('valueString')
  const relation = readConcept(fields.object('relationship'))
  const item = made(reading, {
    content: kept<Insurance>({
      type: 'insurance',
      coverage: readConcept(fields.object('type')) ?? { codings: [] },
      planName: classes.find(({ code }) => code === 'plan')?.value,
      payer,
      memberIdentifiers: members.length > 0 || number === undefined ? members : [{ value: number }],
      groupNumber: classes.find(({ code }) => code === 'group')?.value,
      relationship: relation && (relation.codings.length > 0 || relation.text !== undefined) ? relation : undefined,
      subscriber: readAgent(reading, reference),
      subscriberBirthDate: birthDate,
      guarantor: sponsor === undefined ? undefined : { kind: 'organization', text: sponsor, identifiers: [] },
      priority: fields.decimal('order'),
      authorizations: filled(
        fields
          .extensions(`${own}:authorization`)
          .flatMap((one) => readConcept(one.object('valueCodeableConcept')) ?? []),
      ),
    }),
    status: known?.status,
    intent: known?.code === 'draft' ? 'planned' : 'performed',
    when: readPeriod(fields.object('period')),
  })
  return { ...item, identifiers: others }
}

const teams: Readonly<Record<string, Status>> = {
  active,
  inactive: { folded: 'inactive', source: 'inactive' },
  proposed: { folded: 'planned', source: 'proposed' },
  'entered-in-error': nullified,
}

export function readCareTeam(reading: Reading): ReadItem {
  const { fields, log } = reading
  mustBeOfPatient(reading, 'subject')
  const known = readStatus(reading, 'status', teams, 'active')
  const kinds = readConcepts(fields, 'category')
  if (kinds.length > 1) log.error('not-supported', `${fields.path}.category`, 'The record keeps one category')
  const members = fields.list('participant').flatMap((one) => {
    const agent = readAgent(reading, one.object('member'))
    const [role, ...more] = readConcepts(one, 'role')
    if (more.length > 0) log.error('not-supported', `${one.path}.role`, 'The record keeps one role')
    const when = readPeriod(one.object('period'))
    const named = role && (role.codings.length > 0 || role.text !== undefined) ? role : agent?.role
    return agent ? [kept<CareTeam['members'][number]>({ agent: kept<Agent>({ ...agent, role: named }), when })] : []
  })
  return made(reading, {
    content: kept<CareTeam>({ type: 'care-team', name: fields.text('name'), kind: kinds[0], members }),
    status: known?.status,
    when: readPeriod(fields.object('period')),
    notes: readNotes(fields),
  })
}
