import { child, textOf, type XmlNode } from '../../xml/node.js'
import { type Place, placeAt, placesIn, rootPlace } from '../place.js'
import { type DocumentHead, note, type Reading } from '../reading.js'
import { conduct, learnPeople } from './authors.js'
import { given, nullFlavorOf, readIdentifiers, readNamed, readWhen, words } from './datatypes.js'
import { readDemographics } from './demographics.js'
import { readEncompassing } from './encounters.js'
import { readEntry } from './entries.js'
import { readSectionText } from './notes.js'
import { at, type Cda, remark, type Scope, type Section } from './scope.js'
import { kindOfSection } from './sections.js'

/**
 * Reads a ClinicalDocument (CDA R2) into `reading`: demographics from the header, the entries of every section at every
 * depth, then the encompassing encounter. Never throws for anything in the tree.
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
  }
  const bare: Scope = { cda, place: cda.root, authorship: { authors: [] } }
  learnPeople(bare)
  const scope: Scope = { ...bare, authorship: conduct(bare, cda.root) }
  readDemographics(scope)
  for (const body of placesIn(cda.root, 'component')) {
    const structured = placeAt(body, 'structuredBody')
    if (structured) readSections(scope, structured)
  }
  readEncompassing(scope)
  return headOf(scope)
}

function headOf(scope: Scope): DocumentHead {
  const { node } = scope.cda.root
  const title = words(scope, textOf(child(node, 'title')))
  const code = readNamed(scope, child(node, 'code'))
  const when = readWhen(scope, child(node, 'effectiveTime'))
  const { recordedAt, authors } = scope.authorship
  return {
    ...(title === undefined ? {} : { title }),
    ...(code === undefined ? {} : { code }),
    ...(when === undefined ? {} : { when }),
    ...(recordedAt === undefined ? {} : { recordedAt }),
    authors,
    identifiers: readIdentifiers(node),
  }
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
    ...(nullFlavor === undefined ? {} : { nullFlavor }),
  }
  const here: Scope = { ...scope, section, authorship: conduct(scope, scope.place) }
  if (nullFlavor !== undefined) remark(here, 'section-empty', `the section has nullFlavor ${nullFlavor}`)
  if (kind === 'unknown')
    note(scope.cda.reading, 'unknown-section', scope.place.path, 'neither code, template nor title is known')
  const before = scope.cda.reading.items.length
  for (const entry of placesIn(scope.place, 'entry')) readEntry(at(here, entry))
  readSectionText(here, scope.cda.reading.items.length > before)
  readSections(scope, scope.place)
}
