import type { FamilyHistory } from '../../direct/clinical.js'
import type { Concept, When } from '../../direct/datatypes.js'
import { child, childrenOf, descend, type XmlNode } from '../../xml/node.js'
import { type Place, placeAt, placesIn } from '../place.js'
import { actorOf, readNames, relationOf } from './actors.js'
import { readAge, readRole, readSpan } from './dates.js'
import { readMoment } from './moments.js'
import { emit } from './object.js'
import { causeOfDeath, problemStatus } from './problems.js'
import { type CcrScope, ccrLimits, once, remark, textAt } from './scope.js'
import { deniedBy, readStatus, saysAbsent } from './status.js'
import { codesOf, readCode, readMeasure, saying, together, wordsOf } from './types.js'

type Condition = FamilyHistory['conditions'][number]

/** One relative, and the FamilyProblemHistory objects that tell of that person. */
interface Relative {
  readonly scope: CcrScope
  /** The person, in each object that names it. */
  readonly members: Place[]
  readonly relation: Concept
  readonly conditions: Condition[]
  readonly told: CcrScope[]
}

/** What became of one object of the section. */
export type Told = { readonly place: Place; readonly items: readonly string[]; readonly merged?: boolean }

/**
 * FamilyHistory: one item for each relative with everything said of that person's health, however many objects say it. The same
 * actor in the same role is the same relative; a member that is no actor stands alone.
 */
export function readFamily(section: Place, base: Omit<CcrScope, 'place'>): Told[] {
  const relatives = new Map<string, Relative>()
  const places = placesIn(section, 'FamilyProblemHistory')
  for (const place of places) gather({ ...base, place }, relatives)
  const made = new Map([...relatives.values()].map((relative) => [relative, emitRelative(relative)]))
  const byPlace = new Map<Place, [Relative, string[]][]>()
  for (const one of made) {
    for (const { place } of one[0].told) byPlace.set(place, append(byPlace.get(place), one))
  }
  return places.map((place) => {
    const telling = byPlace.get(place) ?? []
    const merged =
      telling.length > 0 && telling.every(([{ scope }]) => scope.outer?.place !== place && scope.place !== place)
    return { place, items: telling.flatMap(([, ids]) => ids), ...(merged ? { merged } : {}) }
  })
}

function append<T>(list: T[] | undefined, one: T): T[] {
  if (list === undefined) return [one]
  list.push(one)
  return list
}

function gather(scope: CcrScope, relatives: Map<string, Relative>): void {
  const all = placesIn(scope.place, 'FamilyMember')
  if (all.length > ccrLimits.agents)
    remark(scope, 'limit-exceeded', `more than ${ccrLimits.agents} relatives of one history`)
  const members = all.slice(0, ccrLimits.agents)
  if (members.length === 0) {
    const conditions = conditionsOf(scope, undefined)
    if (conditions.length === 0) return
    // Somebody of the family: the source does not say who.
    const relation: Concept = { codings: [], nullFlavor: 'NI' }
    relatives.set(scope.place.path, { scope, members: [], relation, conditions, told: [scope] })
    return
  }
  for (const member of members) {
    const relation = relationship(scope, member)
    const id = textAt(member.node, 'ActorID')
    const key = id === undefined ? member.path : JSON.stringify([id, wordsOf(relation)])
    const known = relatives.get(key)
    const conditions = conditionsOf(scope, member)
    if (known === undefined) {
      const here: CcrScope = { ...scope, place: member, outer: scope }
      relatives.set(key, { scope: here, members: [member], relation, conditions, told: [scope] })
    } else {
      known.conditions.push(...conditions)
      known.members.push(member)
      if (known.told.at(-1) !== scope) known.told.push(scope)
    }
  }
}

/** The role that the object gives the person, and the relation that the actor has. */
function relationship(scope: CcrScope, member: Place): Concept {
  const actor = actorOf(scope, member.node)
  const roles = childrenOf(member.node, 'ActorRole').map((one) => readCode(scope, one))
  const own = actor && relationOf(scope, actor.node)
  const relation = together(...roles, ...(own === undefined ? [] : [own]))
  return saying(relation) ? relation : { codings: [], nullFlavor: 'NI' }
}

function conditionsOf(scope: CcrScope, member: Place | undefined): Condition[] {
  const conditions = once(scope, scope.place.node, 'conditions', () => conditionsIn(scope))
  const causedDeath = member && causeOfDeath(member.node)
  return conditions.map((one) => (causedDeath === undefined ? one : { causedDeath, ...one }))
}

function conditionsIn(scope: CcrScope): Condition[] {
  const { node } = scope.place
  const problems = placesIn(scope.place, 'Problem')
  // Some senders describe the problem on the object itself.
  return (problems.length > 0 ? problems : [scope.place]).flatMap((place) => {
    const described = together(...codesOf(scope, place.node, 'Description'))
    const condition =
      saying(described) || place === scope.place ? described : readCode(scope, child(place.node, 'Type'))
    if (!saying(condition)) return []
    const status = readStatus(scope, place.node) ?? readStatus(scope)
    const when = onset({ ...scope, place }) ?? readSpan(scope)
    const age = ageAtOnset(place.node) ?? readAge(node, 'begin', 'unlabelled', 'other')
    const own = causeOfDeath(place.node)
    const said = problemStatus(scope, place.node) ?? problemStatus(scope, node)
    return [
      {
        condition,
        ...(when === undefined ? {} : { when }),
        ...(age === undefined ? {} : { ageAtOnset: age }),
        ...(own === undefined ? {} : { causedDeath: own }),
        negated: deniedBy(condition) || saysAbsent(status),
        ...(said === undefined ? {} : { status: said }),
      },
    ]
  })
}

function onset(scope: CcrScope): When | undefined {
  const episode = placeAt(scope.place, 'Episodes', 'Episode')
  return readSpan(scope) ?? (episode && readSpan({ ...scope, place: episode }))
}

function ageAtOnset(problem: XmlNode) {
  const episodes = childrenOf(child(problem, 'Episodes'), 'Episode')
  const ages = [problem, ...episodes].map((one) => readAge(one, 'begin', 'unlabelled', 'other'))
  return ages.find((age) => age !== undefined)
}

function emitRelative({ scope, members, relation, conditions, told }: Relative): string[] {
  const [member] = members
  const actor = member === undefined ? undefined : scope.ccr.actors.get(textAt(member.node, 'ActorID') ?? '')
  const person = child(actor?.node, 'Person')
  const name = readNames(child(person, 'Name'))[0]
  const gender = readCode(scope, child(person, 'Gender'))
  const birthDate = readMoment(scope, child(person, 'DateOfBirth'))?.value
  const states = members.flatMap((one) => placesIn(one, 'HealthStatus'))
  const [id, ...others] = told.map((one) => textAt(one.place.node, 'CCRDataObjectID'))
  return emit(scope, {
    content: {
      type: 'family-history',
      relation,
      ...(name === undefined ? {} : { name }),
      ...(saying(gender) ? { gender } : {}),
      ...(birthDate === undefined ? {} : { birthDate }),
      ...deathOf(scope, states),
      conditions,
    },
    notes: states.flatMap(({ node }) => healthNote(scope, node)),
    // The member has no id of its own; one that stands for the object keeps it already.
    identifiers: [member === undefined ? undefined : id, ...others].flatMap((value) =>
      value === undefined ? [] : [{ value }],
    ),
  })
}

/** What HealthStatus says of life and death; an age is that at death only where its label says so. */
function deathOf(scope: CcrScope, states: readonly Place[]): Partial<FamilyHistory> {
  const words = states.map(({ node }) => wordsOf(readCode(scope, child(node, 'Description'))) ?? '').join(' ')
  const dead = /\b(deceased|dead|died)\b/i.test(words)
  const alive = /\b(alive|living|well)\b/i.test(words)
  const places = states.map((place) => ({ ...scope, place }))
  const deathDate = places.map((one) => readRole(one, 'death')).find((one) => one !== undefined)
  const ageAtDeath = states.map(({ node }) => readAge(node, 'death')).find((one) => one !== undefined)
  const caused = states.some(({ node }) => /^(yes|true)$/i.test(textAt(node, 'CauseOfDeath') ?? ''))
  const deceased = dead || caused || deathDate !== undefined || ageAtDeath !== undefined
  return {
    ...(deceased ? { deceased: true } : alive ? { deceased: false } : {}),
    ...(deathDate === undefined ? {} : { deathDate }),
    ...(ageAtDeath === undefined ? {} : { ageAtDeath }),
  }
}

function healthNote(scope: CcrScope, state: XmlNode): string[] {
  const words = wordsOf(readCode(scope, child(state, 'Description')))
  const age = readMeasure(descend(state, 'DateTime', 'Age'))?.words
  if (words === undefined) return age === undefined ? [] : [`Age: ${age}`]
  return [`Health status: ${words}${age === undefined ? '' : ` (${age})`}`]
}
