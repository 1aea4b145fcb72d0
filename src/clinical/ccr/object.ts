import type { Intent, ItemContent, RecordItem } from '../../direct/clinical.js'
import type { Concept, When } from '../../direct/datatypes.js'
import { child, childrenOf } from '../../xml/node.js'
import { add, byName } from '../reading.js'
import { foldWords } from '../status.js'
import { actorName } from './actors.js'
import { readWritten } from './dates.js'
import { type CcrScope, remark, textAt } from './scope.js'
import { readCode, saying } from './types.js'

type Status = NonNullable<RecordItem['status']>

/** The status of an object: free words folded, and kept as they are. */
export function readStatus(scope: CcrScope): Status | undefined {
  const status = readCode(scope, child(scope.place.node, 'Status'))
  const source = status.text ?? status.codings[0]?.code
  return source === undefined ? undefined : { folded: foldWords(source), source }
}

interface Finding {
  readonly content: ItemContent
  /** What the item is about; an item about nothing is not made. */
  readonly subject: Concept
  readonly when?: When | undefined
  readonly status?: Status | undefined
  readonly intent?: Intent
  readonly negated?: boolean
  /** Names of the sources, where the object is part of one that names them. */
  readonly authors?: readonly string[]
}

/** Makes the item of a data object; 0, with a diagnostic, for one about nothing. CCRDataObjectID is its identifier. */
export function emit(scope: CcrScope, finding: Finding): number {
  if (!saying(finding.subject)) {
    remark(scope, 'unmapped-entry', 'neither a code nor words')
    return 0
  }
  const id = textAt(scope.place.node, 'CCRDataObjectID')
  const recordedAt = readWritten(scope)?.value
  const status = finding.status ?? readStatus(scope)
  const added = add(scope.ccr.reading, {
    content: finding.content,
    ...(finding.when === undefined ? {} : { when: finding.when }),
    ...(recordedAt === undefined ? {} : { recordedAt }),
    ...(status === undefined ? {} : { status }),
    negated: finding.negated ?? false,
    intent: finding.intent ?? 'performed',
    identifiers: id === undefined ? [] : [{ value: id }],
    provenance: {
      entry: scope.place.path,
      section: scope.section,
      authors: (finding.authors ?? sourceNames(scope)).map(byName),
    },
  })
  return added ? 1 : 0
}

/** Names of the actors that an object names as its sources. */
export function sourceNames(scope: CcrScope): string[] {
  const names = new Set<string>()
  for (const source of childrenOf(scope.place.node, 'Source')) {
    for (const actor of childrenOf(source, 'Actor')) {
      const found = scope.ccr.actors.get(textAt(actor, 'ActorID') ?? '')
      const name = found && actorName(found.node)
      if (name !== undefined) names.add(name)
    }
  }
  return [...names]
}
