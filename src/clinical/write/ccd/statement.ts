import type { RecordItem } from '../../../direct/clinical.js'
import type { Coding, Concept } from '../../../direct/datatypes.js'
import { type Content, element, type Markup } from '../../../xml/write.js'
import { oidOf, systemName } from '../systems.js'
import { actCode, code, fixed, identifier, loinc, period, snomed, template } from './datatypes.js'
import { author, informant, performer, unknownAuthor } from './people.js'

/** What all clinical statements of CDA R2 have in common. */

/** An item with the ID of its row in the narrative; its subject's words have that ID with `-1`, its instructions `-2`. */
export interface Entry {
  readonly item: RecordItem
  readonly ref: string
  /** Confidentiality of the document: what every entry has that says nothing else. */
  readonly level: string
}

const moods = new Set(['INT', 'RQO', 'PRMS', 'PRP', 'ARQ', 'APT'])

/** moodCode: the source's own where it fits the intent; nothing planned is ever written as an event. */
export function moodOf({ intent, mood }: RecordItem): string {
  if (intent === 'goal') return 'GOL'
  if (intent !== 'planned' && intent !== 'ordered') return 'EVN'
  return mood !== undefined && moods.has(mood) ? mood : 'INT'
}

export interface Kind {
  readonly class: string
  readonly mood: string
  readonly negated?: boolean
  readonly nullFlavor?: string | undefined
}

/** A statement with its parts in the order of the CDA schema. */
export function statement(local: string, kind: Kind, ...parts: readonly Content[]): Markup {
  return element(
    local,
    {
      classCode: kind.class,
      moodCode: kind.mood,
      negationInd: kind.negated ? 'true' : undefined,
      nullFlavor: kind.nullFlavor,
    },
    ...parts,
  )
}

/** The source's ids, else one made of the item's own, so that the same item has the same id in every document. */
export function idsOf({ identifiers, id }: RecordItem, part?: string): Content {
  if (part === undefined && identifiers.length > 0) return identifiers.map(identifier)
  const hex = /^[0-9a-f]{32}$/.test(id) ? id : undefined
  const uuid = hex?.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  return uuid === undefined
    ? element('id', { nullFlavor: 'UNK' })
    : element('id', { root: uuid, ...(part === undefined ? {} : { extension: part }) })
}

export function textReference(ref: string): Markup {
  return element('text', {}, element('reference', { value: `#${ref}` }))
}

export function status(given: string | undefined): Markup {
  return given === undefined ? element('statusCode', { nullFlavor: 'UNK' }) : element('statusCode', { code: given })
}

export function relation(typeCode: string, statement: Content, inverted = false): Markup {
  return element('entryRelationship', { typeCode, inversionInd: inverted ? 'true' : undefined }, statement)
}

/** Who did it, who wrote it down and who told it, in the order of the schema. */
export function participations(item: RecordItem): Content {
  return [item.performers?.map(performer), authorship(item)]
}

/** Authors and informants of the original, with their times. */
export function authorship({ provenance, recordedAt }: RecordItem): Content {
  const { authors, informants } = provenance
  return [
    authors.length === 0 ? unknownAuthor(recordedAt) : authors.map((agent) => author(agent, recordedAt)),
    informants?.map(informant),
  ]
}

const relationTypes = new Set(['CAUS', 'COMP', 'GEVL', 'MFST', 'REFR', 'RSON', 'SAS', 'SPRT', 'SUBJ', 'XCRPT'])

/** Comments (C-CDA 22.4.64), references to other statements (22.4.122), and security labels. */
export function appendix({ item, level }: Entry): Content {
  return [
    item.notes?.map((note) => relation('SUBJ', comment(note), true)),
    item.references?.map(({ kind, identifiers }) =>
      relation(
        relationTypes.has(kind) ? kind : 'REFR',
        statement(
          'act',
          { class: 'ACT', mood: 'EVN' },
          template('22.4.122'),
          identifiers.length > 0 ? identifiers.map(identifier) : element('id', { nullFlavor: 'UNK' }),
          element('code', { nullFlavor: 'NP' }),
          status('completed'),
        ),
      ),
    ),
    needsLabels(item, level) ? relation('COMP', labels(item.labels ?? [])) : undefined,
  ]
}

/** Labels that the document's own confidentiality does not say already. */
function needsLabels({ labels: all }: RecordItem, level: string): boolean {
  return (all ?? []).some((label) => label.code !== level || oidOf(label) !== confidentiality)
}

function comment(words: string): Markup {
  return statement(
    'act',
    { class: 'ACT', mood: 'EVN' },
    template('22.4.64'),
    fixed('code', '48767-8', loinc, 'Annotation comment'),
    element('text', {}, words),
  )
}

const confidentiality = '2.16.840.1.113883.5.25'

/** A privacy annotation: one security observation for each label (HL7 CDA R2 DS4P, 3251.1.4 and 445.12, 445.21). */
export function labels(all: readonly Coding[]): Markup {
  return statement(
    'organizer',
    { class: 'CLUSTER', mood: 'EVN' },
    template('2.16.840.1.113883.3.3251.1.4'),
    status('active'),
    all.map((label) => {
      const classified = oidOf(label) === confidentiality
      return element(
        'component',
        {},
        statement(
          'observation',
          { class: 'OBS', mood: 'EVN' },
          template('2.16.840.1.113883.3.445.21'),
          classified ? template('2.16.840.1.113883.3.445.12') : undefined,
          classified
            ? fixed('code', 'SECCLASSOBS', actCode, 'Security classification')
            : fixed('code', 'SECCATOBS', actCode, 'Security category'),
          status('completed'),
          element('value', {
            'xsi:type': 'CE',
            code: label.code,
            codeSystem: oidOf(label),
            codeSystemName: systemName(label),
            displayName: label.display,
          }),
        ),
      )
    }),
  )
}

const levels = ['U', 'L', 'M', 'N', 'R', 'V']

/** The highest confidentiality of the items (HL7 v3 Confidentiality), at least normal. */
export function confidentialityOf(items: readonly RecordItem[]): string {
  let highest = levels.indexOf('N')
  for (const { labels: all } of items) {
    for (const label of all ?? []) {
      if (oidOf(label) === confidentiality) highest = Math.max(highest, levels.indexOf(label.code))
    }
  }
  return levels[highest] ?? 'N'
}

/** An indication (C-CDA 22.4.19): the problem that is a reason. */
export function indication(item: RecordItem, problem: Concept, part: string): Markup {
  return relation(
    'RSON',
    statement(
      'observation',
      { class: 'OBS', mood: 'EVN' },
      template('22.4.19', '2014-06-09'),
      idsOf(item, part),
      fixed('code', '55607006', snomed, 'Problem', fixed('translation', '75326-9', loinc, 'Problem')),
      status('completed'),
      period('effectiveTime', undefined, { begins: true }),
      code('value', problem, { type: 'CD' }),
    ),
  )
}

/** Instructions to the patient (C-CDA 22.4.20). */
export function instruction(words: Content): Markup {
  return relation(
    'SUBJ',
    statement(
      'act',
      { class: 'ACT', mood: 'INT' },
      template('22.4.20', '2014-06-09'),
      fixed('code', '311401005', snomed, 'Patient education'),
      element('text', {}, words),
      status('completed'),
    ),
    true,
  )
}

/** Words that stand in the narrative under this ID. */
export function pointer(id: string): Markup {
  return element('reference', { value: `#${id}` })
}
