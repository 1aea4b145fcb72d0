import type { RecordItem } from '../../direct/clinical.js'
import type { Identifier } from '../../direct/datatypes.js'
import { subjectOf } from '../../direct/subject.js'
import { child, elements, textOf, type XmlNode } from '../../xml/node.js'
import { type Place, placeAt, placesIn, rootPlace } from '../place.js'
import { type DocumentHead, note, type Reading } from '../reading.js'
import { idKeys } from './agents.js'
import { conduct, learnPeople } from './authors.js'
import { given, isStatement, nullFlavorOf, words } from './datatypes.js'
import { readDemographics, readHeaderCareTeam } from './demographics.js'
import { readEncompassing } from './encounters.js'
import { readEntry } from './entries.js'
import { headOf } from './header.js'
import { confidentialityOf, distinct, isSecurityLabel, labelsOf } from './labels.js'
import { readSectionText } from './notes.js'
import { at, type Cda, remark, type Scope, type Section } from './scope.js'
import { kindOfSection } from './sections.js'
import { isAboutAnother } from './statement.js'

/**
 * Reads a ClinicalDocument (CDA R2) into `reading`: demographics and care team from the header, the entries of every section
 * at every depth, then the encompassing encounter. Never throws for anything in the tree.
 */
export function readCda(root: XmlNode, reading: Reading): DocumentHead {
  const cda: Cda = {
    reading,
    root: rootPlace(root),
    people: new Map(),
    unknownSystems: new Set(),
    narrative: undefined,
    narrativeChars: reading.limits.narrativeChars,
    mergedInto: undefined,
    localTimeTold: false,
    units: new Map(),
    referring: new Map(),
    documentLabels: [],
  }
  const bare: Scope = { cda, place: cda.root, authorship: { authors: [] } }
  learnPeople(bare)
  const bodies = placesIn(cda.root, 'component').map((body) => placeAt(body, 'structuredBody'))
  for (const body of bodies) if (body) learnDocumentLabels(bare, body)
  const labels = distinct([...(confidentialityOf(bare, root) ?? []), ...cda.documentLabels])
  const scope: Scope = {
    ...bare,
    authorship: conduct(bare, cda.root),
    ...(labels.length === 0 ? {} : { labels }),
  }
  const head = headOf(scope)
  readDemographics(scope)
  for (const body of bodies) if (body) readSections(scope, body)
  readEncompassing(scope)
  readHeaderCareTeam(scope)
  followReferences(scope)
  tellReusedIds(reading)
  return head
}

/** A section that holds nothing but security labels speaks of the whole document (HL7 DS4P, privacy markings section). */
function learnDocumentLabels(scope: Scope, body: Place): void {
  for (const component of placesIn(body, 'component')) {
    for (const section of placesIn(component, 'section')) {
      const statements = statementsOf(section.node)
      if (statements.length === 0 || !statements.every(isSecurityLabel)) continue
      scope.cda.documentLabels.push(...statements.flatMap((one) => labelsOf(scope, one)))
    }
  }
}

function statementsOf(section: XmlNode): XmlNode[] {
  return elements(section)
    .filter((one) => one.local === 'entry')
    .flatMap((entry) => elements(entry).filter((one) => one.ns === entry.ns && isStatement(one)))
}

/** Sections stand in `component/section`, and may hold further ones the same way. */
function readSections(scope: Scope, parent: Place): void {
  for (const component of placesIn(parent, 'component')) {
    for (const place of placesIn(component, 'section')) readSection(at(scope, place))
  }
}

function readSection(scope: Scope): void {
  const { node } = scope.place
  const kind = kindOfSection(node)
  const nullFlavor = nullFlavorOf(node)
  const label = given(child(node, 'code'), 'code') ?? words(scope, textOf(child(node, 'title')))
  const section: Section = {
    kind,
    ...(label === undefined ? {} : { label }),
    node,
    aboutAnother: isAboutAnother(node),
    ...(nullFlavor === undefined ? {} : { nullFlavor }),
  }
  const labels = sectionLabels(scope, node)
  const here: Scope = {
    ...scope,
    section,
    authorship: conduct(scope, scope.place),
    ...(labels.length === 0 ? {} : { labels }),
  }
  if (nullFlavor !== undefined) remark(here, 'section-empty', `the section has nullFlavor ${nullFlavor}`)
  if (kind === 'unknown')
    note(scope.cda.reading, 'unknown-section', scope.place.path, 'neither code, template nor title is known')
  const before = scope.cda.reading.items.length
  for (const entry of placesIn(scope.place, 'entry')) readEntry(at(here, entry))
  readSectionText(here, scope.cda.reading.items.length > before)
  readSections(here, scope.place)
}

/** Labels of a section: its confidentialityCode and the label entries in it. None means those conducted from outside. */
function sectionLabels(scope: Scope, node: XmlNode): RecordItem['labels'] & object {
  const entries = statementsOf(node).filter(isSecurityLabel)
  return distinct([...(confidentialityOf(scope, node) ?? []), ...entries.flatMap((one) => labelsOf(scope, one))])
}

/** An entry that only names another by id says more of the item that the other made, wherever in the document that stands. */
function followReferences({ cda }: Scope): void {
  if (cda.referring.size === 0) return
  const byKey = new Map<string, string>()
  for (const item of cda.reading.items) {
    for (const key of idKeys(item.identifiers)) if (!byKey.has(key)) byKey.set(key, item.id)
  }
  for (const [index, keys] of cda.referring) {
    const into = keys.map((key) => byKey.get(key)).find((id) => id !== undefined)
    const outcome = cda.reading.entries[index]
    if (into !== undefined && outcome !== undefined) {
      cda.reading.entries[index] = { entry: outcome.entry, kind: 'merged', into }
      const told = cda.reading.diagnostics.findIndex(
        ({ code, where }) => code === 'unmapped-entry' && where.startsWith(`${outcome.entry}/`),
      )
      if (told >= 0) cda.reading.diagnostics.splice(told, 1)
    }
  }
}

/** One id on two statements that say different things: then the id tells nobody which is meant. */
function tellReusedIds(reading: Reading): void {
  const first = new Map<string, ReadonlySet<string>>()
  const told = new Set<string>()
  for (const item of reading.items) {
    const said = codesOf(item)
    if (said.size === 0) continue
    for (const key of idKeys(item.identifiers.filter(isUsable))) {
      const known = first.get(key)
      if (known === undefined) first.set(key, said)
      else if (!told.has(key) && ![...said].some((code) => known.has(code))) {
        told.add(key)
        note(
          reading,
          'id-reused',
          item.provenance.entry,
          'another statement of this document has this id and another code',
        )
        break
      }
    }
  }
}

function isUsable(id: Identifier): boolean {
  return id.root !== undefined
}

function codesOf({ content }: RecordItem): ReadonlySet<string> {
  const subject = content.type === 'demographics' || content.type === 'care-team' ? undefined : subjectOf(content)
  if (subject === undefined) return new Set()
  const codes = subject.codings.map(({ system, code }) => `${system}|${code}`)
  return new Set(codes.length > 0 || subject.text === undefined ? codes : [subject.text.toLowerCase()])
}
