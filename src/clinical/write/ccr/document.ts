import type { Demographics, RecordItem, RecordItemType } from '../../../direct/clinical.js'
import type { Agent, PartialDate } from '../../../direct/datatypes.js'
import { subjectOf } from '../../../direct/subject.js'
import { type Content, documentBytes, element, type Markup } from '../../../xml/write.js'
import { foldWords } from '../../status.js'
import { claimOf, columnsOf } from '../columns.js'
import { writeLimits } from '../limits.js'
import { type Room, type Written, within } from '../room.js'
import type { Selected } from '../selection.js'
import { listed, wordsOf } from '../words.js'
import { address, dateTime, described, ids, openActors, personNames, words } from './datatypes.js'
import { type CcrEntry, dataObject, planObject, resultObject, stateOf } from './objects.js'

export interface CcrHead {
  readonly id: string
  readonly at: PartialDate
  readonly title: string
  readonly custodian: Agent
}

const sections: readonly (readonly [string, readonly RecordItemType[]])[] = [
  ['Payers', ['insurance']],
  ['AdvanceDirectives', ['advance-directive']],
  ['FunctionalStatus', ['functional-status']],
  ['Problems', ['problem']],
  ['FamilyHistory', ['family-history']],
  ['SocialHistory', ['social-history']],
  ['Alerts', ['allergy']],
  ['Medications', ['medication']],
  ['MedicalEquipment', ['device']],
  ['Immunizations', ['immunization']],
  ['VitalSigns', ['vital-sign']],
  ['Results', ['result']],
  ['Procedures', ['procedure']],
  ['Encounters', ['encounter']],
]

/**
 * What a CCR cannot say as an object is said in a comment, in the words of the narrative: that something is *not* so (the
 * CCR has no negation, and a reader that overlooked it would take the opposite for true), that the source gave no
 * information, an order that is over (with its status, readers take it for given), and notes.
 *
 * It has no place at all for security labels, displays of codes, the details of supplies, criticality, and body sites
 * of problems; those stand in no object. Documents are not written. Some things come back as something else: what is
 * planned, of whatever type, as a plan, since Plan is the one object that no reader takes for done; goals too; a team of
 * carers as one team of all of them; birth sex as the patient's own; an encounter without a type as `Encounter`; a code
 * that its source told twice, once.
 */
function isSafeObject(item: RecordItem): boolean {
  const { content, negated, nullFlavor, intent } = item
  if (content.type === 'medication' && intent === 'ordered' && foldWords(stateOf(item) ?? '') !== 'planned')
    return false
  const subject = subjectOf(content)
  const known = subject === undefined || subject.codings.length > 0 || (subject.nullFlavor ?? 'OTH') === 'OTH'
  return !negated && nullFlavor === undefined && known
}

function isPlanned({ content, intent }: RecordItem): boolean {
  if (content.type === 'goal' || content.type === 'plan') return true
  if (content.type === 'medication' && intent === 'ordered') return false
  return intent === 'planned' || intent === 'goal' || intent === 'ordered'
}

const known = new Set(sections.flatMap(([, types]) => types))

/** Whether a comment has to tell what no object does; a relative's absent conditions are told beside the present ones. */
function isTold(item: RecordItem): boolean {
  const { content } = item
  if (!isSafeObject(item)) return true
  if (content.type === 'family-history') return content.conditions.some(({ negated }) => negated)
  return content.type !== 'care-team' && !known.has(content.type) && !isPlanned(item)
}

/** Writes items as a Continuity of Care Record (ASTM E2369); every object names who wrote it first, and when. */
export function writeCcr(
  { items, whole }: Selected,
  head: CcrHead,
  patient: RecordItem | undefined,
  mostBytes: number = writeLimits.bytes,
): Written {
  const room: Room = { left: mostBytes }
  const actors = openActors()
  const entries = items
    .filter(({ content }) => content.type !== 'demographics' && content.type !== 'document')
    .map((item, at): CcrEntry => ({ item, ref: `i${at + 1}`, actors }))
  const objects = entries.filter(({ item }) => isSafeObject(item))
  const planned = objects.filter(({ item }) => isPlanned(item))
  const done = objects.filter(({ item }) => !isPlanned(item))
  const inWords = entries.filter(({ item }) => isTold(item))
  const told = whole ? undefined : 'What the patient chose to share; there may be more.'
  const demographics = patient?.content.type === 'demographics' ? patient.content : undefined
  const chosen = patient !== undefined && items.includes(patient)
  const root = element(
    'ContinuityOfCareRecord',
    { xmlns: 'urn:astm-org:CCR' },
    element('CCRDocumentObjectID', {}, head.id),
    words('Language', 'English'),
    element('Version', {}, 'V1.0'),
    dateTime(undefined, head.at),
    element('Patient', {}, element('ActorID', {}, 'patient')),
    element('From', {}, element('ActorLink', {}, element('ActorID', {}, 'patient'), words('ActorRole', 'Patient'))),
    element('Purpose', {}, words('Description', listed([head.title, told]))),
    element('Body', {}, bodyOf(done, planned, chosen ? demographics : undefined, room)),
    // Last, since every object above may name somebody.
    element('Actors', {}, patientActor(demographics, chosen), actors.written(), actorsOf(head)),
    comments(entries, inWords, room),
  )
  if (room.left < 0) return { kind: 'too-large' }
  const bytes = documentBytes(root)
  if (bytes.length > mostBytes) return { kind: 'too-large' }
  return {
    kind: 'written',
    bytes,
    inWords: inWords.map(({ item }) => item.id),
    notWritten: items.filter(({ content }) => content.type === 'document').map(({ id }) => id),
  }
}

function bodyOf(
  done: readonly CcrEntry[],
  planned: readonly CcrEntry[],
  patient: Demographics | undefined,
  room: Room,
): Content {
  const traits = patient ? traitsOf(patient) : []
  const written = sections.map(([local, types]) => {
    const own = done.filter(({ item }) => types.includes(item.content.type))
    const inside: Content[] =
      local === 'Results' || local === 'VitalSigns'
        ? within(room, panels(own), resultObject)
        : within(room, own, dataObject)
    if (local === 'SocialHistory') inside.push(...traits)
    return inside.length === 0 ? undefined : element(local, {}, inside)
  })
  const teams = done.flatMap(({ item, actors }) =>
    item.content.type === 'care-team'
      ? item.content.members.map(({ agent }) =>
          element('Provider', {}, element('ActorID', {}, actors.idOf(agent)), described('ActorRole', agent.role)),
        )
      : [],
  )
  return [
    written,
    planned.length === 0
      ? undefined
      : element(
          'PlanOfCare',
          {},
          within(room, planned, (entry) => planObject(entry, subjectOf(entry.item.content))),
        ),
    teams.length === 0 ? undefined : element('HealthCareProviders', {}, teams),
  ]
}

function panels(own: readonly CcrEntry[]): readonly (readonly CcrEntry[])[] {
  const groups = new Map<string, CcrEntry[]>()
  for (const entry of own) {
    const { content, provenance, id } = entry.item
    const panel = 'panel' in content ? content.panel : undefined
    const key = panel === undefined ? id : `${provenance.document}\n${panel.entry}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [entry])
    else group.push(entry)
  }
  return [...groups.values()]
}

/** Race, ethnicity, language and marital status stand in the social history (ASTM E2369 §5.2.5). */
function traitsOf({ races, ethnicities, languages, maritalStatus }: Demographics): readonly Markup[] {
  const traits = [
    ...races.map((one) => ['Race', one] as const),
    ...ethnicities.map((one) => ['Ethnicity', one] as const),
    ...languages.map((one) => ['Language', { codings: [], text: one }] as const),
    ...(maritalStatus ? [['Marital status', maritalStatus] as const] : []),
  ]
  return traits.map(([type, concept], at) =>
    element(
      'SocialHistoryElement',
      {},
      element('CCRDataObjectID', {}, `t${at + 1}`),
      words('Type', type),
      described('Description', concept),
      element('Source', {}, element('Actor', {}, element('ActorID', {}, 'patient'))),
    ),
  )
}

function patientActor(patient: Demographics | undefined, whole: boolean): Markup {
  return element(
    'Actor',
    {},
    element('ActorObjectID', {}, 'patient'),
    element(
      'Person',
      {},
      patient && personNames(patient.names),
      patient?.birthDate && element('DateOfBirth', {}, element('ExactDateTime', {}, patient.birthDate.text)),
      described('Gender', patient?.gender),
    ),
    patient && ids(patient.identifiers),
    whole ? patient?.addresses.map(address) : undefined,
    whole
      ? patient?.telecoms.map(({ value, use }) =>
          element(value.includes('@') ? 'EMail' : 'Telephone', {}, element('Value', {}, value), words('Type', use)),
        )
      : undefined,
    element('Source', {}, element('Actor', {}, element('ActorID', {}, 'patient'))),
  )
}

function actorsOf({ custodian }: CcrHead): Markup {
  return element(
    'Actor',
    {},
    element('ActorObjectID', {}, 'custodian'),
    element('Organization', {}, element('Name', {}, custodian.text)),
    element('Source', {}, element('Actor', {}, element('ActorID', {}, 'custodian'))),
  )
}

/** Comments upon objects, and what no object may say. */
function comments(entries: readonly CcrEntry[], inWords: readonly CcrEntry[], room: Room): Content {
  const upon = entries.flatMap(({ item, ref }) =>
    (item.notes ?? []).map((text, at) => comment(`${ref}-n${at}`, undefined, text)),
  )
  const said = within(room, inWords, ({ item, ref }) => {
    const { content } = item
    if (content.type === 'note')
      return comment(`${ref}-w`, wordsOf(content.kind), listed([claimOf(item), content.text]))
    const cells = columnsOf[content.type].map(({ head, cell }) => {
      const text = cell(item)
      return text === '' ? undefined : `${head}: ${text}`
    })
    return comment(`${ref}-w`, claimOf(item), listed([claimOf(item), ...cells]))
  })
  const all = [...upon, ...said]
  return all.length === 0 ? undefined : element('Comments', {}, all)
}

function comment(id: string, type: string | undefined, text: string): Markup {
  return element(
    'Comment',
    {},
    element('CommentObjectID', {}, id),
    words('Type', type),
    words('Description', text),
    element('Source', {}, element('Actor', {}, element('ActorID', {}, 'patient'))),
  )
}
