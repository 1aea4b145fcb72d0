import { child, childrenOf, descend, textOf } from '../../xml/node.js'
import { reactionsOf } from './allergies.js'
import {
  given,
  isNegated,
  materialOf,
  nothing,
  readConcept,
  readNamed,
  readQuantity,
  readTime,
  relatedStatements,
  says,
  words,
} from './datatypes.js'
import { indicationsOf, readInstructions } from './medications.js'
import { type Scope, sdtc } from './scope.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus } from './status.js'
import { isA, templates } from './templates.js'
import { readRegimen } from './timing.js'

/** One item for a vaccination (C-CDA 22.4.52): negated where it was not given, planned where it is still to come. */
export function readImmunization(scope: Scope): number {
  const { node } = scope.place
  const consumable = child(node, 'consumable')
  const material = materialOf(consumable)
  const code = readConcept(scope, child(material, 'code'), /vaccin|immuni|name/i)
  const name = words(scope, textOf(child(material, 'name')))
  const coded = says(code) ? code : name === undefined ? (code ?? nothing) : { ...code, codings: [], text: name }
  const vaccine = withNarrative(scope, coded, node, /vaccin|immuni|name/i)
  const lot = words(scope, textOf(child(material, 'lotNumberText')))
  const organization = descend(consumable, 'manufacturedProduct', 'manufacturerOrganization', 'name')
  const manufacturer = words(scope, textOf(organization))
  const route = readNamed(scope, child(node, 'routeCode'))
  const site = readNamed(scope, child(node, 'approachSiteCode'))
  const dose = readQuantity(child(node, 'doseQuantity'))
  const doseNumber = doseNumberOf(scope)
  const reasons = relatedStatements(node, 'RSON').filter((one) => !isA(one, templates.refusal))
  const refusal = relatedStatements(node).find((one) => isA(one, templates.refusal))
  // The reason for something that was not done is why not; for what was done or is planned, what for.
  const refused = refusal ?? (isNegated(node) ? reasons[0] : undefined)
  const indications = indicationsOf(scope, node).filter(() => !isNegated(node))
  const reactions = reactionsOf(scope, node)
  const instructions = readInstructions(scope, node, false)
  const expiry = child(material, 'expirationTime', sdtc) ?? child(material, 'expirationTime')
  const expiresAt = readTime(scope, expiry) ?? readTime(scope, child(expiry, 'high'))
  const refusalReason =
    refused && (readNamed(scope, child(refused, 'value')) ?? readNamed(scope, child(refused, 'code')))
  const intent = intentOf(node)
  return emit(scope, {
    content: {
      type: 'immunization',
      vaccine,
      ...(lot === undefined ? {} : { lot }),
      ...(manufacturer === undefined ? {} : { manufacturer }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(route === undefined ? {} : { route }),
      ...(site === undefined ? {} : { site }),
      ...(dose === undefined ? {} : { dose }),
      ...(doseNumber === undefined ? {} : { doseNumber }),
      ...(refusalReason === undefined ? {} : { refusalReason }),
      ...(indications.length === 0 ? {} : { indications }),
      ...(reactions.length === 0 ? {} : { reactions }),
      ...(instructions === undefined ? {} : { instructions }),
    },
    subject: vaccine,
    when: readRegimen(scope, node).when,
    status: actStatus(scope, node, intent === 'planned'),
    intent,
  })
}

/** The place in a series: of the act that administers it (C-CDA 22.4.118), repeatNumber, or LOINC 30973-2. */
function doseNumberOf(scope: Scope): string | undefined {
  const { node } = scope.place
  for (const relation of childrenOf(node, 'entryRelationship')) {
    const act = child(relation, 'act')
    if (act === undefined || !isA(act, templates.administered)) continue
    const position = given(child(relation, 'sequenceNumber'), 'value')
    if (position !== undefined) return position
  }
  const repeat = given(child(node, 'repeatNumber'), 'value')
  if (repeat !== undefined) return repeat
  const series = relatedStatements(node).find(
    (one) => isA(one, templates.seriesNumber) || given(child(one, 'code'), 'code') === '30973-2',
  )
  return given(child(series, 'value'), 'value')
}
