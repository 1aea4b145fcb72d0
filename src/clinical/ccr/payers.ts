import type { Insurance } from '../../direct/clinical.js'
import type { Concept } from '../../direct/datatypes.js'
import { child, childrenOf } from '../../xml/node.js'
import { type Place, placeAt, placesIn } from '../place.js'
import { actorOf, identifierOf, readAgent, readIds, type TypedId } from './actors.js'
import { readSpan } from './dates.js'
import { describedBy } from './links.js'
import { readMoment } from './moments.js'
import { emit } from './object.js'
import { type CcrScope, textAt } from './scope.js'
import { codesOf, saying, together, wordsOf } from './types.js'

const memberId = /member|subscriber|policy|covered|insured|beneficiary|certificate|medicare|medicaid|enrol/i

/** Payers/Payer: a coverage; one typed `Guarantor` names who answers for the bill. */
export function readPayer(scope: CcrScope): string[] {
  const { node } = scope.place
  const typed = together(...codesOf(scope, node, 'Type'))
  const described = together(...codesOf(scope, node, 'Description'))
  const payer = readAgent(scope, child(node, 'PaymentProvider'), 'where')
  const subscriber = readAgent(scope, child(node, 'Subscriber'), 'where')
  const holder = actorOf(scope, child(node, 'Subscriber'))
  const birthDate = readMoment(scope, child(child(holder?.node, 'Person'), 'DateOfBirth'))?.value
  const coverage: Concept = [typed, described].find(saying) ?? { codings: [], nullFlavor: 'NI' }
  if (!saying(coverage) && payer === undefined && subscriber === undefined) return []
  const ids = readIds(scope.ccr, node)
  const members = ids.filter(({ type }) => memberId.test(type ?? ''))
  const issued = issuedIds(scope, textAt(child(node, 'PaymentProvider'), 'ActorID'), holder)
  const group = ids.find(({ type }) => /group/i.test(type ?? ''))
  const guarantees = /guarantor/i.test(typed.text ?? '')
  const planName = saying(typed) ? wordsOf(described) : undefined
  const relationship = relationshipOf(subscriber?.role)
  const authorizations = authorizationsOf(scope)
  const priority = priorityOf(scope, typed)
  return emit(scope, {
    content: {
      type: 'insurance',
      coverage,
      ...(planName === undefined ? {} : { planName }),
      ...(payer === undefined || guarantees ? {} : { payer }),
      memberIdentifiers: [...members, ...issued].map(identifierOf),
      ...(group === undefined ? {} : { groupNumber: group.value }),
      ...(relationship === undefined ? {} : { relationship }),
      ...(subscriber === undefined ? {} : { subscriber }),
      ...(birthDate === undefined ? {} : { subscriberBirthDate: birthDate }),
      ...(payer !== undefined && guarantees ? { guarantor: payer } : {}),
      ...(priority === undefined ? {} : { priority }),
      ...(authorizations.length === 0 ? {} : { authorizations }),
    } satisfies Insurance,
    when: readSpan(scope),
    identifiers: ids.filter((one) => !members.includes(one) && one !== group).map(identifierOf),
  })
}

/** What the payer itself issued to the patient or, where that is somebody else, to the holder. */
function issuedIds(scope: CcrScope, payer: string | undefined, holder: Place | undefined): TypedId[] {
  if (payer === undefined) return []
  const [patient] = scope.ccr.patientIds.map((id) => scope.ccr.actors.get(id))
  const ids = [patient, holder === patient ? undefined : holder].flatMap((actor) => childrenOf(actor?.node, 'IDs'))
  const issued = ids.filter((one) => textAt(child(one, 'IssuedBy'), 'ActorID') === payer)
  return issued.flatMap((one) => readIds(scope.ccr, { ...one, children: [one] }))
}

/** What the covered person is to the holder, where the role says that and not what the holder is to the plan. */
function relationshipOf(role: Concept | undefined): Concept | undefined {
  const says =
    /^(self|spouse|wife|husband|child|son|daughter|parent|mother|father|dependent|domestic partner|life partner)\b/i
  return role !== undefined && says.test(role.text ?? '') ? role : undefined
}

function priorityOf(scope: CcrScope, typed: Concept): string | undefined {
  const words = `${typed.text ?? ''} ${textAt(scope.place.node, 'Priority') ?? ''}`
  const place = [/\bprimary\b/i, /\bsecondary\b/i, /\btertiary\b/i].findIndex((pattern) => pattern.test(words))
  return place < 0 ? undefined : String(place + 1)
}

function authorizationsOf(scope: CcrScope): Concept[] {
  const list = placeAt(scope.place, 'Authorizations')
  return (list === undefined ? [] : placesIn(list, 'Authorization'))
    .map((place) => describedBy(scope, place))
    .filter(saying)
}
