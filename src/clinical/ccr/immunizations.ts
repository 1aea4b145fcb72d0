import { child, childrenOf, descend } from '../../xml/node.js'
import { identifierOf, readIds, readSources } from './actors.js'
import { readDue, readEvent, readRole } from './dates.js'
import { readDirections } from './directions.js'
import { indicationsOf } from './links.js'
import { consentOf } from './medications.js'
import { emit } from './object.js'
import { productNotes, reactionsOf, readProduct } from './products.js'
import { type CcrScope, textAt } from './scope.js'
import { deniedBy, intentOf, nearestStatus, saysNotDone } from './status.js'
import { codesOf, saying, together, wordsOf } from './types.js'

/** Immunizations/Immunization: what was given, refused, or is due. Brand and description name the same vaccine. */
export function readImmunization(scope: CcrScope): string[] {
  const { node } = scope.place
  const item = child(node, 'Product')
  const product = readProduct(scope, item, { codings: [] })
  const vaccine = together(
    product.name,
    ...(product.brand ? [product.brand] : []),
    ...codesOf(scope, node, 'Description'),
  )
  const ids = [...readIds(scope.ccr, node), ...readIds(scope.ccr, item)]
  const lot = ids.find(({ type }) => /\blot\b/i.test(type ?? ''))
  const direction = readDirections(scope, [
    ...childrenOf(child(node, 'Directions'), 'Direction'),
    ...childrenOf(child(item, 'Directions'), 'Direction'),
  ])
  const status = nearestStatus(scope)
  const consent = consentOf(scope, node)
  const refused = saysNotDone(status?.source) || consent.some(saysNotDone)
  const intent = scope.intent ?? intentOf(status)
  const reasons = refused ? refusalReasons(scope) : []
  const expiresAt = readRole(scope, 'expires')
  const reactions = reactionsOf(scope, node)
  const indications = [
    ...direction.indications,
    ...indicationsOf(scope, childrenOf(child(node, 'Indications'), 'Indication'), node),
  ]
  const patient = codesOf(scope, child(node, 'PatientInstructions'), 'Instruction').map(wordsOf)
  const instructions = [...direction.instructions, ...patient].filter(Boolean).join('; ')
  const doseNumber = textAt(node, 'SeriesNumber')
  return emit(scope, {
    content: {
      type: 'immunization',
      vaccine,
      ...(lot === undefined ? {} : { lot: lot.value }),
      ...(product.manufacturer === undefined ? {} : { manufacturer: product.manufacturer }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(direction.route === undefined ? {} : { route: direction.route }),
      ...(direction.site === undefined ? {} : { site: direction.site }),
      ...(direction.dose === undefined ? {} : { dose: direction.dose }),
      ...(doseNumber === undefined ? {} : { doseNumber }),
      ...(reasons[0] === undefined ? {} : { refusalReason: reasons[0] }),
      ...(indications.length === 0 ? {} : { indications }),
      ...(reactions.length === 0 ? {} : { reactions }),
      ...(instructions === '' ? {} : { instructions }),
    },
    subject: vaccine,
    when: intent === 'performed' ? readEvent(scope) : (readDue(scope) ?? (scope.outer && readDue(scope.outer))),
    status,
    intent,
    negated: refused || deniedBy(vaccine),
    performers: givers(scope),
    notes: [...productNotes(product), ...consent],
    identifiers: ids.filter((one) => one !== lot).map(identifierOf),
  })
}

/** Sources whose role says that they gave it. */
function givers(scope: CcrScope) {
  const { authors } = readSources(scope, scope.place.node)
  return authors.filter(({ role }) => /administ|gave|given|vaccinat|perform/i.test((role && wordsOf(role)) ?? ''))
}

function refusalReasons(scope: CcrScope) {
  const consent = descend(scope.place.node, 'Consent')
  const said = codesOf(scope, consent, 'Description').filter((one) => saying(one))
  return said.filter((one) => !/^(refused|declined)$/i.test(one.text ?? '') || one.codings.length > 0)
}
