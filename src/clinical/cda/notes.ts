import { Buffer } from 'node:buffer'
import type { Concept } from '../../direct/datatypes.js'
import { child, elements, textOf, type XmlNode } from '../../xml/node.js'
import { placesIn } from '../place.js'
import { leftOut } from '../write/sentences.js'
import { attachedText } from './attached.js'
import { conduct } from './authors.js'
import { given, isStatement, nothing, readConcept, readWhen, relatedStatements, says, words } from './datatypes.js'
import { renderProse, unreferred } from './prose.js'
import { at, type Cda, narrativeOf, remark, type Scope } from './scope.js'
import { emit, intentOf } from './statement.js'
import { actStatus } from './status.js'
import { isA, templates } from './templates.js'

/**
 * A note activity or comment (C-CDA 22.4.202, 22.4.64): its words come from the narrative it refers to, else from its own
 * text, which may be packed (base64 of plain text, HTML or RTF). A note in any other form is named by its media type; the
 * document keeps the bytes.
 */
export function readNote(scope: Scope): number {
  const { node } = scope.place
  const code = readConcept(scope, child(node, 'code')) ?? nothing
  const text = noteText(scope, child(node, 'text')) ?? textInside(scope, node)
  if (text === undefined) {
    remark(scope, 'unmapped-entry', 'a note without words')
    return 0
  }
  const kind = says(code) ? code : { ...code, codings: [], text: 'Note' }
  return emit(scope, {
    content: { type: 'note', kind, text },
    subject: kind,
    when: readWhen(scope, child(node, 'effectiveTime')),
    status: actStatus(scope, node, intentOf(node) === 'planned'),
    intent: intentOf(node),
  })
}

/** Note activities at any depth inside a statement that is none itself: each a note beside what the statement became. */
export function readAttachedNotes(scope: Scope): number {
  let made = 0
  for (const relation of placesIn(scope.place)) {
    if (relation.node.local !== 'entryRelationship' && relation.node.local !== 'component') continue
    for (const place of placesIn(relation).filter((one) => isStatement(one.node))) {
      const inner = at(scope, place)
      if (!isA(place.node, templates.note)) made += readAttachedNotes(inner)
      else made += readNote({ ...inner, authorship: conduct(inner, place) })
    }
  }
  return made
}

/** Words of an ED with its line breaks; undefined where there are none. */
export function noteText(scope: Scope, node: XmlNode | undefined): string | undefined {
  if (node === undefined) return undefined
  const reference = given(child(node, 'reference'), 'value')
  const resolved = reference === undefined ? undefined : referredProse(scope, reference)
  if (resolved !== undefined) return resolved
  if (given(node, 'representation') === 'B64') {
    const mediaType = given(node, 'mediaType')?.toLowerCase() ?? 'text/plain'
    const packed = textOf(node).replace(/\s+/g, '')
    return cut(scope, attachedText(Buffer.from(packed, 'base64'), mediaType) ?? `(${mediaType})`)
  }
  return cut(scope, renderProse([node])) ?? reference
}

/** The narrative that a reference points to, block by block, as long as the document's share of narrative lasts. */
function referredProse(scope: Scope, reference: string): string | undefined {
  const { cda, section } = scope
  const targets = narrativeOf(cda).get(reference.replace(/^#/, ''))
  const target = (section && targets?.get(section.node)) ?? targets?.values().next().value
  if (target === undefined || cda.narrativeChars < 0) return undefined
  const text = cut(scope, renderProse([target.node]))
  cda.narrativeChars -= text?.length ?? 0
  if (cda.narrativeChars >= 0) return text
  remark(scope, 'limit-exceeded', 'the references of this document bring in too much text')
  return undefined
}

/** Words of the statements inside an act that has none itself. */
function textInside(scope: Scope, node: XmlNode): string | undefined {
  for (const inner of relatedStatements(node)) {
    const text = noteText(scope, child(inner, 'text'))
    if (text !== undefined) return text
  }
  return undefined
}

function cut(scope: Scope, text: string): string | undefined {
  const { noteChars } = scope.cda.reading.limits
  const trimmed = text.trim()
  return trimmed === '' ? undefined : trimmed.slice(0, noteChars)
}

/**
 * One note for what a section says to people alone, at the place of its text. A section of which no entry made an item
 * gives all its narrative. Of any other, the entries say what the narrative says, but for rows, paragraphs and list items
 * with an ID that no entry refers to: those, and only those, go into the note, so that nothing is lost and little is doubled.
 * That a section with a nullFlavor has no information is no note: the diagnostic that the nullFlavor makes tells it.
 */
export function readSectionText(scope: Scope, entriesMade: boolean): number {
  const { node } = scope.place
  const place = placesIn(scope.place, 'text')[0]
  if (place === undefined) return 0
  const parts = entriesMade ? unreferred(place.node, referredIn(scope.cda)) : [place.node]
  const text = cut(scope, renderProse(parts))
  if (text === undefined) return 0
  if (!entriesMade && scope.section?.nullFlavor !== undefined && saysNothing(text)) return 0
  const title = words(scope, textOf(child(node, 'title')))
  const kind = kindOf(readConcept(scope, child(node, 'code')), title)
  return emit(at(scope, place), {
    content: { type: 'note', kind, ...(title === undefined ? {} : { title }), text },
    subject: kind,
    intent: 'performed',
  })
}

/** `No information`, whatever of; never what denies something, such as `No encounters`. */
const noInformation = /^no (?:[\p{L}-]+ ){0,5}(?:information|data)(?: (?:available|recorded))?\.?$/iu

function saysNothing(text: string): boolean {
  return text === leftOut || noInformation.test(text)
}

function kindOf(code: Concept | undefined, title: string | undefined): Concept {
  if (says(code)) return code
  return { ...code, codings: [], text: title ?? 'Section' }
}

/** IDs that entries of the document refer to, wherever in an entry. */
function referredIn(cda: Cda): ReadonlySet<string> {
  if (cda.referred !== undefined) return cda.referred
  const found = new Set<string>()
  const visit = (node: XmlNode, inside: boolean): void => {
    if (inside && node.local === 'reference') {
      const value = given(node, 'value')
      if (value !== undefined) found.add(value.replace(/^#/, ''))
    }
    for (const inner of elements(node)) {
      if (node.local === 'section' && inner.local === 'text') continue
      visit(inner, inside || (node.local === 'section' && inner.local === 'entry'))
    }
  }
  visit(cda.root.node, false)
  cda.referred = found
  return found
}
