import { child, descend, textOf } from '../../xml/node.js'
import {
  given,
  materialOf,
  nothing,
  readConcept,
  readNamed,
  readQuantity,
  relatedStatements,
  says,
  words,
} from './datatypes.js'
import type { Scope } from './scope.js'
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
  const refused =
    relatedStatements(node).find((one) => isA(one, templates.refusal)) ?? relatedStatements(node, 'RSON')[0]
  const refusalReason =
    refused && (readNamed(scope, child(refused, 'value')) ?? readNamed(scope, child(refused, 'code')))
  const intent = intentOf(node)
  return emit(scope, {
    content: {
      type: 'immunization',
      vaccine,
      ...(lot === undefined ? {} : { lot }),
      ...(manufacturer === undefined ? {} : { manufacturer }),
      ...(route === undefined ? {} : { route }),
      ...(site === undefined ? {} : { site }),
      ...(dose === undefined ? {} : { dose }),
      ...(doseNumber === undefined ? {} : { doseNumber }),
      ...(refusalReason === undefined ? {} : { refusalReason }),
    },
    subject: vaccine,
    when: readRegimen(scope, node).when,
    status: actStatus(scope, node, intent === 'planned'),
    intent,
  })
}

/** The place in a series: repeatNumber, else the series number observation (LOINC 30973-2). */
function doseNumberOf(scope: Scope): string | undefined {
  const { node } = scope.place
  const repeat = given(child(node, 'repeatNumber'), 'value')
  if (repeat !== undefined) return repeat
  const series = relatedStatements(node).find(
    (one) => isA(one, templates.seriesNumber) || given(child(one, 'code'), 'code') === '30973-2',
  )
  return given(child(series, 'value'), 'value')
}
