import { createHash } from 'node:crypto'
import type { Actor } from '../../direct/access.js'
import type { ItemContent, RecordItem, RecordItemType } from '../../direct/clinical.js'
import type { Concept, Identifier } from '../../direct/datatypes.js'
import { subjectOf } from '../../direct/subject.js'
import { bounded, type ConceptKey, conceptKey, keyLimits, plainWords } from './concept.js'
import { beginning, type Moment, momentOf, type Span, spanOf } from './moment.js'
import { quantityKey, valueKey } from './value.js'

/**
 * What reconciliation needs of one statement: everything that tells it from others, and nothing that is only shown. Made
 * from the item alone but for `seq` and `auto`, so that the same document gives the same facts whenever it comes.
 */
export interface Fact {
  /** Id of the item. */
  readonly id: string
  readonly type: RecordItemType
  readonly document: string
  /** Path of the entry. */
  readonly path: string
  /** Revision of the record that brought it: earlier came earlier. */
  readonly seq: number
  /** Its sender's documents need no review in this record, and its patient was recognised. */
  readonly auto?: true
  /** Negation and mood: statements of two poles are never one. */
  readonly pole: string
  /** It denies a whole class: no known allergies. */
  readonly none?: true
  readonly subject: ConceptKey
  /** Sites and sides of the body. */
  readonly where: readonly ConceptKey[]
  readonly at?: Moment
  readonly span: Span
  /** `root^value` of its identifiers, sorted. */
  readonly ids: readonly string[]
  /** Telling words by type: the member number of a coverage, the condition of a relative, the specimen of a result. */
  readonly tells: Readonly<Record<string, string>>
  /** What two versions of one thing may differ in, and a person has to know of. */
  readonly facets: Readonly<Record<string, string>>
  /** When it was asserted: written down, else so. */
  readonly asserted?: Moment
  /** Digest of all that it says, without ids and provenance. */
  readonly says: string
  /** Position in lists: day and minute. */
  readonly day: string
  /** Codes of its security labels. */
  readonly labels?: readonly string[]
  /** Somebody wrote it here; no document told of it. */
  readonly written?: Written
}

/** What the record has to know of a statement that somebody wrote: who and when, and what it is a version of. */
export interface Written {
  /** Unix milliseconds. */
  readonly at: number
  readonly actor: Actor
  /** Id of the entry that says this from then on; where absent, it is a new one. */
  readonly of?: string
  readonly personal?: true
  readonly readOnly?: true
  /** Day on which it ends or ended. */
  readonly endsAt?: string
}

/** The fact of an item; `day` is its position in lists. */
export function factOf(item: RecordItem, day: string, seq: number, auto: boolean, written?: Written): Fact {
  const { content, provenance, when, labels } = item
  const at =
    content.type === 'result' || content.type === 'vital-sign'
      ? (beginning(when) ?? beginning(content.panel?.when))
      : beginning(when)
  const asserted = momentOf(item.recordedAt) ?? at
  return {
    id: item.id,
    type: content.type,
    document: provenance.document,
    path: provenance.entry.slice(0, 1000),
    seq,
    ...(auto && { auto: true }),
    pole: poleOf(item),
    ...(deniesAll(content) && { none: true }),
    subject: conceptKey(subjectOf(content)),
    where: sitesOf(content).slice(0, keyLimits.others),
    ...(at && { at }),
    span: spanOf(when, content.type !== 'medication' && content.type !== 'problem' && content.type !== 'allergy'),
    ids: [...new Set(item.identifiers.flatMap(identifierKey))].sort().slice(0, keyLimits.others),
    tells: tellsOf(item),
    facets: facetsOf(item),
    ...(asserted && { asserted }),
    says: digestOf(item),
    day,
    ...(written && { written }),
    ...(labels &&
      labels.length > 0 && { labels: labels.slice(0, 100).map(({ code }) => code.slice(0, keyLimits.textChars)) }),
  }
}

/** Said to be so, said not to be so, or nothing said (nullFlavor); and performed, planned, ordered or a goal. */
function poleOf({ content, negated, nullFlavor, intent = 'performed' }: RecordItem): string {
  return `${negated || deniesAll(content) ? 'not' : nullFlavor === undefined ? 'so' : 'nothing'} ${intent}`
}

function deniesAll(content: ItemContent): boolean {
  if (content.type !== 'allergy' && content.type !== 'problem') return false
  return subjectOf(content)?.codings.some(({ code }) => noneKnown.has(code)) ?? false
}

/** SNOMED CT concepts that deny by themselves: no known allergy, drug, food or environmental allergy, no current problems. */
const noneKnown = new Set([
  ...['716186003', '409137002', '429625007', '428607008', '160244002', '1003774007'],
  ...['160245001', '428197003', '787481004'],
])

/** An OID alone can stand for many things; a UUID alone, or an OID with a value, names one. */
function identifierKey({ root, value }: Identifier): readonly string[] {
  const from = root?.trim().toLowerCase() ?? ''
  const name = value?.trim() ?? ''
  if (name === '') return /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/.test(from) ? [from] : []
  return [bounded(`${from}^${name}`)]
}

const laterality = '272741003'

/** Sites, and sides: of the site, or where the subject itself was narrowed to one. */
function sitesOf(content: ItemContent): readonly ConceptKey[] {
  const sites = 'bodySites' in content ? (content.bodySites ?? []) : []
  const sides = [subjectOf(content), ...sites].flatMap((concept) => (concept ? sidesOf(concept) : []))
  return [...sites.map(conceptKey), ...sides]
}

function sidesOf({ qualifiers = [] }: Concept): readonly ConceptKey[] {
  const sides = qualifiers.filter(({ name, value }) => name?.code === laterality || sideCodes.includes(value.code))
  return sides.map(({ value }) => conceptKey({ codings: [value] }))
}

/** Left, right, both, one side (SNOMED CT). */
const sideCodes = ['7771000', '24028007', '51440002', '66459002']

type Words = Readonly<Record<string, string>>

/** Drops what is not said; the conditions of a relative are compared one by one, and have more room. */
function said(words: Readonly<Record<string, string | undefined>>): Words {
  const kept = Object.entries(words).flatMap(([word, text]) =>
    text === undefined || text === '' ? [] : [[word, bounded(text, word === 'conditions' ? 2000 : 400)] as const],
  )
  return Object.fromEntries(kept)
}

function conceptText(concept: Concept | undefined): string {
  const { codes, words } = conceptKey(concept)
  return (codes.length > 0 ? codes : words).join(' ')
}

function conceptTexts(concepts: readonly Concept[] | undefined): string {
  return (concepts ?? []).map(conceptText).sort().join('; ')
}

/** What tells statements of one type apart beside concept, time and place. */
function tellsOf({ content, performers = [] }: RecordItem): Words {
  switch (content.type) {
    case 'result':
    case 'vital-sign':
      return said({
        value: [content.value, ...(content.otherValues ?? [])].map(valueKey).join('; '),
        specimen: conceptText(content.specimen),
        parts: (content.components ?? [])
          .map(({ test, value }) => `${conceptText(test)}=${valueKey(value)}`)
          .sort()
          .join('; '),
      })
    case 'social-history':
    case 'functional-status':
      return said({ value: [content.value, ...(content.otherValues ?? [])].map(valueKey).join('; ') })
    case 'encounter':
      return said({
        provider: performers
          .map(({ text }) => plainWords(text))
          .sort()
          .join('; '),
      })
    case 'family-history':
      return said({
        name: plainWords(
          [...(content.name?.given ?? []), content.name?.family ?? '', content.name?.text ?? ''].join(' '),
        ),
        born: content.birthDate?.text,
        conditions: content.conditions
          .map(({ condition, negated }) => `${negated ? 'not ' : ''}${conceptText(condition)}`)
          .sort()
          .join('; '),
      })
    case 'advance-directive':
      return said({ value: valueKey(content.value) })
    case 'insurance':
      return said({
        payer: plainWords(content.payer?.organization ?? content.payer?.text ?? content.planName ?? ''),
        member: content.memberIdentifiers
          .map(({ value = '' }) => value.trim())
          .filter(Boolean)
          .sort()
          .join('; '),
        group: content.groupNumber?.trim(),
      })
    case 'device':
      return said({ udi: content.udi?.trim(), serial: content.serial?.trim(), lot: content.lot?.trim() })
    case 'goal':
      return said({ target: valueKey(content.target) })
    case 'plan':
      return said({ value: valueKey(content.value) })
    case 'care-team':
      return said({
        name: plainWords(content.name ?? ''),
        members: content.members
          .map(({ agent }) => plainWords(agent.text))
          .sort()
          .join('; '),
      })
    case 'note':
      return said({ text: short(plainWords(content.text)) })
    default:
      return {}
  }
}

/** What versions of one thing may differ in. */
function facetsOf({ content, status }: RecordItem): Words {
  switch (content.type) {
    case 'allergy':
      return said({
        status: status?.folded,
        severity: conceptText(content.severity),
        criticality: conceptText(content.criticality),
      })
    case 'problem':
      return said({ status: status?.folded })
    case 'medication':
      return said({
        status: status?.folded,
        dose:
          quantityKey(content.dose) ||
          [quantityKey(content.doseRange?.low), quantityKey(content.doseRange?.high)].join(''),
        rate: quantityKey(content.rate),
        route: conceptText(content.route),
        timing: short(content.timings.length > 0 ? JSON.stringify(content.timings) : ''),
      })
    case 'immunization':
      return said({ lot: content.lot?.trim(), dose: quantityKey(content.dose), number: content.doseNumber })
    case 'result':
    case 'vital-sign':
      return said({
        value: [content.value, ...(content.otherValues ?? [])].map(valueKey).join('; '),
        status: content.panel?.status,
      })
    case 'insurance':
      return said({ coverage: conceptText(content.coverage), priority: content.priority })
    case 'procedure':
      return said({ status: status?.folded, devices: conceptTexts(content.devices) })
    case 'encounter':
      return said({ diagnoses: conceptTexts(content.diagnoses) })
    default:
      return said({ status: status?.folded })
  }
}

function short(text: string): string {
  return text === '' ? '' : createHash('sha256').update(text).digest('base64url').slice(0, 22)
}

/** All that a statement says of the patient, whoever wrote it and wherever: equal digests are equal statements. */
export function digestOf({
  id: _,
  identifiers: __,
  provenance: ___,
  recordedAt: ____,
  references: _____,
  ...rest
}: RecordItem): string {
  const { content } = rest
  const panel = 'panel' in content && content.panel ? { ...content.panel, entry: '', identifiers: [] } : undefined
  return short(stable(panel ? { ...rest, content: { ...content, panel } } : rest))
}

/** JSON with its keys in order. */
export function stable(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
