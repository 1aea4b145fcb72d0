import type { Intent } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { child, type XmlNode } from '../../xml/node.js'
import { denies } from '../denial.js'
import { type Folded, foldWords, type Status } from '../status.js'
import { type CcrScope, once } from './scope.js'
import { readCode, wordsOf } from './types.js'

/** The words of ASTM E2369 for the status of an object that mean something else there than in other documents. */
const foldedOfWord: ReadonlyMap<string, Folded> = new Map([
  ['new', 'active'],
  ['rule out', 'unknown'],
  ['prior history no longer active', 'inactive'],
  ['prior history', 'inactive'],
  ['in process', 'active'],
  ['in progress', 'active'],
  ['preliminary', 'active'],
  ['preliminary results', 'active'],
  ['current and verified', 'active'],
  ['verified', 'active'],
  ['cured', 'resolved'],
  ['expired', 'inactive'],
  ['deceased', 'unknown'],
])

/** SNOMED CT codes of the words, for senders that write only the code. */
const foldedOfCode: ReadonlyMap<string, Folded> = new Map([
  ['55561003', 'active'],
  ['15240007', 'active'],
  ['90734009', 'active'],
  ['7087005', 'active'],
  ['255227004', 'active'],
  ['73425007', 'inactive'],
  ['392521001', 'inactive'],
  ['421139008', 'inactive'],
  ['413322009', 'resolved'],
  ['410516002', 'resolved'],
  ['415684004', 'unknown'],
  ['89925002', 'cancelled'],
  ['385655000', 'cancelled'],
  ['255594003', 'completed'],
])

/** The status of an object: its words folded and kept as they are, with their codes. */
export function readStatus(scope: CcrScope, node: XmlNode = scope.place.node): Status | undefined {
  return once(scope, node, 'status', () => statusOf(scope, node))
}

function statusOf(scope: CcrScope, node: XmlNode): Status | undefined {
  const concept = readCode(scope, child(node, 'Status'))
  const source = wordsOf(concept)
  if (source === undefined) return undefined
  const known = foldedOfWord.get(source.toLowerCase())
  const coded = concept.codings.map(({ code }) => foldedOfCode.get(code)).find((one) => one !== undefined)
  const folded = known ?? coded ?? foldWords(source)
  return { folded, source, ...(concept.codings.length === 0 ? {} : { concept }) }
}

/** The status of an object, else of the one that it is part of. */
export function nearestStatus(scope: CcrScope): Status | undefined {
  return readStatus(scope) ?? (scope.outer === undefined ? undefined : nearestStatus(scope.outer))
}

/** Whether a status says that the thing was asked for or is still to come. */
export function intentOf(status: Status | undefined): Intent {
  if (status?.folded !== 'planned') return 'performed'
  return /order|request/i.test(status.source ?? '') ? 'ordered' : 'planned'
}

/** Whether a status says that the thing is not so: `ruled out` is not a diagnosis, `rule out` is a question. */
export function saysAbsent(status: Status | undefined): boolean {
  if (status === undefined) return false
  if (status.concept?.codings.some(({ code }) => code === '410516002')) return true
  return /^(ruled out|absent|not present|negative|denied|denies|known absent)$/i.test(status.source ?? '')
}

/** Whether a status or a consent says that something was not done. */
export function saysNotDone(text: string | undefined): boolean {
  return /\b(refus|declin|not (given|done|administered|performed|taken)|contraindicated|deferred)/i.test(text ?? '')
}

/** Words that deny what follows them. `Absence of kidney` and `non-Hodgkin` are findings and not among them. */
const denialWords = /^(no|denies|denied|negative for|patient denies|pt denies|without) \S/i

/** Whether a statement denies what it names, by its code, its words or its status. */
export function deniedBy(concept: Concept): boolean {
  return denies(concept) || denialWords.test(concept.text ?? '')
}
