import type { RecordItem } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import type { Place } from '../place.js'
import { actorName, actorOf } from './actors.js'
import { type CcrScope, remark, textAt, textIn } from './scope.js'
import { attributesOf, codesOf, readCode, saying, together, wordsOf } from './types.js'

/** Something that an object names by its id. */
export interface Link {
  readonly id: string
  readonly relationship?: string
  /** The data object, where the document has it. */
  readonly object?: Place
  /** The actor, where the link names one. */
  readonly actor?: Place
}

/** InternalCCRLinks of an element (ASTM E2369 §5.1.12). */
export function readLinks(scope: CcrScope, node: XmlNode): Link[] {
  return childrenOf(node, 'InternalCCRLink').flatMap((link) => {
    const id = textAt(link, 'LinkID')
    if (id === undefined) return []
    const { ccr } = scope
    const relationship = textAt(link, 'LinkRelationship')
    const object = ccr.objects.get(id)
    const actor = ccr.actors.get(id)
    if (object === undefined && actor === undefined && !ccr.comments.has(id) && !ccr.references.has(id)) {
      remark(scope, 'unresolved-reference', 'a link to something that the document does not have')
    }
    return [
      {
        id,
        ...(relationship === undefined ? {} : { relationship }),
        ...(object === undefined ? {} : { object }),
        ...(actor === undefined ? {} : { actor }),
      },
    ]
  })
}

/** Links and References of an object as the record keeps them: the relationship that the source names, else `REFR`. */
export function referencesOf(scope: CcrScope, node: XmlNode): NonNullable<RecordItem['references']> {
  const links = readLinks(scope, node)
    .filter(({ id }) => !scope.ccr.comments.has(id))
    .map(({ id, relationship }) => ({ kind: relationship ?? 'REFR', identifiers: [{ value: id }] }))
  const references = idsIn(node, 'ReferenceID').map((id) => ({ kind: 'REFR', identifiers: [{ value: id }] }))
  return [...links, ...references]
}

function idsIn(node: XmlNode, local: string): string[] {
  return childrenOf(node, local).flatMap((one) => {
    const id = textIn(one)
    return id === undefined ? [] : [id]
  })
}

/** Words upon an object: its comments, what its References say, and attributes and links that no field stands for. */
export function notesOf(scope: CcrScope, node: XmlNode): string[] {
  const { ccr } = scope
  const notes: string[] = []
  const linked = readLinks(scope, node).map(({ id }) => id)
  for (const id of [...idsIn(node, 'CommentID'), ...linked.filter((one) => ccr.comments.has(one))]) {
    const comment = ccr.comments.get(id)
    if (comment === undefined) remark(scope, 'unresolved-reference', 'a CommentID that no comment has')
    const words = comment && commentWords(scope, comment.node)
    if (words === undefined) continue
    ccr.usedComments.add(id)
    notes.push(words)
  }
  for (const inline of [...childrenOf(node, 'Comment'), ...childrenOf(child(node, 'Comments'), 'Comment')]) {
    const words = commentWords(scope, inline)
    if (words !== undefined) notes.push(words)
  }
  notes.push(...commentsUpon(scope, textAt(node, 'CCRDataObjectID')))
  for (const id of idsIn(node, 'ReferenceID')) {
    const words = referenceWords(scope, id)
    if (words !== undefined) notes.push(words)
  }
  return notes
}

/** Comments that name the object, and not the other way round. */
function commentsUpon(scope: CcrScope, id: string | undefined): string[] {
  const { comments, usedComments, commentsUpon } = scope.ccr
  return (commentsUpon.get(id ?? '') ?? []).flatMap((key) => {
    const comment = comments.get(key)
    const words = comment && commentWords(scope, comment.node)
    if (words === undefined) return []
    usedComments.add(key)
    return [words]
  })
}

/** What a comment says. */
export function commentWords(scope: CcrScope, comment: XmlNode): string | undefined {
  return wordsOf(readCode(scope, child(comment, 'Description')))
}

/** What a Reference is, and where (HealthVault ReferenceTypeToString). */
export function referenceWords(scope: CcrScope, id: string): string | undefined {
  const reference = scope.ccr.references.get(id)
  if (reference === undefined) {
    remark(scope, 'unresolved-reference', 'a ReferenceID that no reference has')
    return undefined
  }
  const title =
    wordsOf(readCode(scope, child(reference.node, 'Description'))) ?? textAt(child(reference.node, 'Type'), 'Text')
  const words = [title, ...locationsOf(scope, reference.node)].filter((one) => one !== undefined)
  return words.length === 0 ? undefined : `Reference: ${words.join(', ')}`
}

/** Places by name: Locations/Location of an encounter, a procedure or a Reference. */
export function locationsOf(scope: CcrScope, node: XmlNode): string[] {
  return childrenOf(child(node, 'Locations'), 'Location').flatMap((location) => {
    const actor = actorOf(scope, child(location, 'Actor') ?? location)
    const url = textAt(child(actor?.node, 'URL'), 'Value')
    const name = wordsOf(readCode(scope, child(location, 'Description'))) ?? (actor && actorName(actor.node)) ?? url
    return name === undefined ? [] : [name]
  })
}

/** `name: words` for each attribute of the description. */
export function attributeNotes(node: XmlNode | undefined): string[] {
  return attributesOf(node).map(({ name, words }) => `${name}: ${words}`)
}

/**
 * Why something is done: Indication elements by their own description, the problem in them or the problem they link to, and
 * links of the object itself that lead to a problem and do not say that they mean something else.
 */
export function indicationsOf(scope: CcrScope, indications: readonly XmlNode[], object?: XmlNode): Concept[] {
  const found = indications.flatMap((indication) => {
    const own = readCode(scope, child(indication, 'Description'))
    if (saying(own)) return [own]
    const problems = childrenOf(indication, 'Problem').flatMap((one) => codesOf(scope, one, 'Description'))
    return problems.length > 0 ? problems : readLinks(scope, indication).map((link) => describedBy(scope, link.object))
  })
  const linked = object === undefined ? [] : readLinks(scope, object)
  const reasons = linked
    .filter(
      ({ object: at, relationship }) =>
        at?.node.local === 'Problem' &&
        (relationship === undefined || /indicat|reason|treat|\bfor\b|diagnos/i.test(relationship)),
    )
    .map((link) => describedBy(scope, link.object))
  const all = [...found, ...reasons].filter(saying)
  return [...new Map(all.map((one) => [JSON.stringify(one), one])).values()]
}

/** What a data object is about: its description, else its product, else its type. */
export function describedBy(scope: CcrScope, object: Place | undefined): Concept {
  const node = object?.node
  const described = together(...childrenOf(node, 'Description').map((one) => readCode(scope, one)))
  if (saying(described)) return described
  const product = readCode(scope, descend(node, 'Product', 'ProductName'))
  return saying(product) ? product : readCode(scope, child(node, 'Type'))
}
