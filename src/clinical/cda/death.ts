import { child } from '../../xml/node.js'
import { placesIn } from '../place.js'
import { conduct } from './authors.js'
import { isNegated, isStatement, readTime } from './datatypes.js'
import { readProblem } from './problems.js'
import { at, mergeInto, type Scope } from './scope.js'
import { intentOf, isAboutAnother } from './statement.js'

/**
 * The observation that the patient is dead (C-CDA 22.4.79): it says more of the demographics, and what caused it is a problem
 * of its own. Answers how many items it made; a denial, or a death that is not the patient's, says nothing here.
 */
export function readDeath(scope: Scope): number {
  const { node } = scope.place
  if (isNegated(node) || isAboutAnother(node) || intentOf(node) !== 'performed') return 0
  const { items } = scope.cda.reading
  const index = items.findIndex((one) => one.content.type === 'demographics')
  const known = items[index]
  if (known?.content.type === 'demographics') {
    const time = child(node, 'effectiveTime')
    const deathDate = known.content.deathDate ?? readTime(scope, time) ?? readTime(scope, child(time, 'low'))
    items[index] = {
      ...known,
      content: { ...known.content, deceased: true, ...(deathDate === undefined ? {} : { deathDate }) },
    }
    mergeInto(scope, known.id)
  }
  let made = 0
  for (const relation of placesIn(scope.place, 'entryRelationship')) {
    for (const place of placesIn(relation)) {
      if (!isStatement(place.node) || place.node.local !== 'observation') continue
      const inner = at(scope, place)
      made += readProblem({ ...inner, authorship: conduct(inner, place) }, undefined, true)
    }
  }
  return made
}
