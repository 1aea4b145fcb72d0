import type { Intent, ItemContent } from '../../direct/clinical.js'
import type { Concept, When } from '../../direct/datatypes.js'
import { child, type XmlNode } from '../../xml/node.js'
import { add } from '../reading.js'
import type { Status } from '../status.js'
import { given, isNegated, nullFlavorOf, readIdentifiers, readText, says } from './datatypes.js'
import { provenance, remark, type Scope } from './scope.js'

/** moodCode folded (HL7 v3 ActMood): what happened, what is meant to, what is hoped for. */
export function intentOf(node: XmlNode): Intent {
  const mood = given(node, 'moodCode') ?? 'EVN'
  if (mood === 'GOL') return 'goal'
  return ['INT', 'RQO', 'PRMS', 'PRP', 'ARQ', 'APT', 'SLOT', 'OPT'].includes(mood) ? 'planned' : 'performed'
}

/** What a reader found out about one statement, before it becomes an item. */
export interface Finding {
  readonly content: ItemContent
  /** What the item is about; an item about nothing is not made. */
  readonly subject: Concept
  readonly when?: When | undefined
  readonly status?: Status | undefined
  readonly intent: Intent
  /** Statements around this one whose negation or nullFlavor covers it. */
  readonly within?: readonly XmlNode[]
  /** The source's own "no known …" code, which denies as negationInd does. */
  readonly denies?: boolean
  /** Null flavor of what the statement is about, where it has no value. */
  readonly nullFlavor?: string | undefined
}

/**
 * Makes the item of a statement. Answers 0, with the reason as a diagnostic, for a statement about nothing: no code and no
 * words, unless it denies something ("no known allergies" has no substance).
 */
export function emit(scope: Scope, finding: Finding): number {
  const { node } = scope.place
  const around = finding.within ?? []
  const negated = isNegated(node) || around.some(isNegated) || finding.denies === true
  const nullFlavor =
    nullFlavorOf(node) ??
    around.map(nullFlavorOf).find((one) => one !== undefined) ??
    scope.section?.nullFlavor ??
    finding.nullFlavor
  if (!says(finding.subject) && !negated) {
    const reason = nullFlavor ?? finding.subject.nullFlavor
    remark(
      scope,
      'unmapped-entry',
      reason === undefined ? 'neither a code nor words' : `no information: nullFlavor ${reason}`,
    )
    return 0
  }
  const { recordedAt } = scope.authorship
  const added = add(scope.cda.reading, {
    content: finding.content,
    ...(finding.when === undefined ? {} : { when: finding.when }),
    ...(recordedAt === undefined ? {} : { recordedAt }),
    ...(finding.status === undefined ? {} : { status: finding.status }),
    negated,
    ...(nullFlavor === undefined ? {} : { nullFlavor }),
    intent: finding.intent,
    identifiers: readIdentifiers(node),
    provenance: provenance(scope),
  })
  return added ? 1 : 0
}

/** A concept with the statement's narrative as its text, where it has neither code nor words of its own. */
export function withNarrative(
  scope: Scope,
  concept: Concept | undefined,
  statement: XmlNode,
  column?: RegExp,
): Concept {
  if (says(concept)) return concept
  const text = readText(scope, child(statement, 'text'), column)
  if (text === undefined) return concept ?? { codings: [] }
  return { ...concept, codings: [], text }
}
