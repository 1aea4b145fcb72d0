import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf } from '../../xml/node.js'
import { denies } from '../denial.js'
import { type Place, placesIn } from '../place.js'
import { propensityKinds } from '../propensity.js'
import { readSpan } from './dates.js'
import { emit } from './object.js'
import { reactionsOf } from './products.js'
import type { CcrScope } from './scope.js'
import { deniedBy, nearestStatus, saysAbsent } from './status.js'
import { codesOf, readCode, saying, together, wordsOf } from './types.js'

/** What CCRs name as kinds beside those. */
const allergyKinds = new Set([...propensityKinds, '424213003'])

const allergyWords = /allerg|adverse|intoleran|sensitiv|anaphyla/i
/** Words for an allergy that is denied; the second only where the alert is one about allergies. */
const noAllergy =
  /\b(no|denies|denied|without) (known |any |other )*([a-z]+ ){0,2}allerg|\bn\.?k\.?[df]?\.?a\.?\b|\bno known (drug|food|medication|environmental)/i
const noneKnown = /^\W*(none( known| reported)?|no known|nil|denies)\W*$/i
/** Types that leave it to the rest of the alert what kind it is. */
const anyType = /^(alerts?|warnings?|medical alert|problem|other|unknown)?$/i

/** What a CCR alert is against: a product, something in the environment, a problem, a procedure or a result. */
interface AlertAgent {
  readonly concept: Concept
  readonly place: Place
}

/**
 * Alerts/Alert: an allergy for each of its agents where its type says so, or where it leaves that open and names an agent or an
 * allergy. Any other alert is a note: a fall risk or a living will is no diagnosis, and must never stand among the allergies.
 */
export function readAlert(scope: CcrScope): string[] {
  const { node } = scope.place
  const typed = together(...codesOf(scope, node, 'Type'))
  const description = together(...codesOf(scope, node, 'Description'))
  const agents = agentsOf(scope)
  if (!isAllergy(typed, description, agents.length > 0)) return readNote(scope, typed, description, agents)
  const kind = kindOf(typed, description)
  const reactions = reactionsOf(scope, node)
  const status = nearestStatus(scope)
  const rest = description.codings.filter((one) => !allergyKinds.has(one.code))
  const negates = (substance: Concept) =>
    [substance, description].some(
      (one) => deniedBy(one) || denies(one) || noAllergy.test(one.text ?? '') || noneKnown.test(one.text ?? ''),
    ) ||
    noAllergy.test(kind.text ?? '') ||
    saysAbsent(status)
  const sources = agents.length > 0 ? agents : [{ concept: description, place: scope.place }]
  return sources.flatMap(({ concept, place }) => {
    if (scope.ccr.reading.full) return []
    // The agent is what the patient reacts to; the description may name the allergy as a condition. Both are kept.
    const substance = together(concept, sources.length > 1 ? { codings: [] } : withText(rest, description.text))
    const named = saying(substance) ? substance : description
    const here: CcrScope = sources.length > 1 ? { ...scope, place: { node, path: place.path } } : scope
    return emit(here, {
      content: { type: 'allergy', substance: named, ...(saying(kind) ? { kind } : {}), reactions },
      subject: named,
      when: readSpan(scope),
      status,
      negated: negates(named),
      notes:
        description.text === undefined || [named.text, kind.text].includes(description.text) ? [] : [description.text],
    })
  })
}

/** Of what kind the allergy is; a description may say no more than that: `Adverse reaction to substance`. */
function kindOf(typed: Concept, description: Concept): Concept {
  const codings = description.codings.filter((one) => allergyKinds.has(one.code))
  if (codings.length === 0) return typed
  return together(typed, codings.length === description.codings.length ? description : { codings })
}

function withText(codings: Concept['codings'], text: string | undefined): Concept {
  return text === undefined ? { codings } : { codings, text }
}

function isAllergy(kind: Concept, description: Concept, hasAgent: boolean): boolean {
  const coded = (concept: Concept) => concept.codings.some(({ code }) => allergyKinds.has(code))
  if (allergyWords.test(kind.text ?? '') || coded(kind) || denies(kind)) return true
  const words = description.text ?? ''
  if (denies(description) && noAllergy.test(words)) return true
  if (!anyType.test(kind.text ?? '')) return false
  return hasAgent || coded(description) || allergyWords.test(words) || noAllergy.test(words) || denies(description)
}

/** Every agent with all that is said of it: its own description, and name and brand of its product. */
function agentsOf(scope: CcrScope): AlertAgent[] {
  return placesIn(scope.place, 'Agent').flatMap((agent) =>
    placesIn(agent).flatMap((list) =>
      placesIn(list).flatMap((place) => {
        const { node } = place
        const products = childrenOf(node, 'Product')
        const names = products.flatMap((one) => [
          ...codesOf(scope, one, 'ProductName'),
          ...codesOf(scope, one, 'BrandName'),
        ])
        const flat = [...codesOf(scope, node, 'ProductName'), ...codesOf(scope, node, 'BrandName')]
        const concept = together(...names, ...flat, ...codesOf(scope, node, 'Description'))
        return saying(concept) ? [{ concept, place }] : []
      }),
    ),
  )
}

function readNote(scope: CcrScope, kind: Concept, description: Concept, agents: readonly AlertAgent[]): string[] {
  const { node } = scope.place
  const about = together(kind, description, ...agents.map(({ concept }) => concept))
  const words = [
    wordsOf(description),
    ...agents.map(({ concept }) => wordsOf(concept)),
    ...reactionsOf(scope, node).map(({ manifestation, severity }) =>
      [wordsOf(manifestation), severity && wordsOf(severity)].filter(Boolean).join(', '),
    ),
  ].filter((one) => one !== undefined)
  const text = [...new Set(words)].join('; ') || wordsOf(kind)
  if (text === undefined) return []
  const said = readCode(scope, child(node, 'Description')).text
  return emit(scope, {
    content: {
      type: 'note',
      kind: about,
      ...(said === undefined ? {} : { title: said }),
      text: text.slice(0, scope.ccr.reading.limits.textChars),
    },
    subject: about,
    when: readSpan(scope),
    negated: deniedBy(description),
  })
}
