import type { CareTeam } from '../../direct/clinical.js'
import { type Place, placesIn } from '../place.js'
import { readAgent } from './actors.js'
import { readSpan } from './dates.js'
import type { Told } from './family.js'
import { emit } from './object.js'
import type { CcrScope } from './scope.js'
import { readStatus } from './status.js'

/** HealthCareProviders and Support: one team, with every actor that the section names in its role there. */
export function readTeam(section: Place, base: Omit<CcrScope, 'place'>, kind: string): Told[] {
  const scope: CcrScope = { ...base, place: section }
  const told = placesIn(section).map((place) => {
    const agent = readAgent(scope, place.node, 'where')
    const when = readSpan({ ...scope, place })
    const status = readStatus({ ...scope, place })?.source
    const member = agent && {
      agent,
      ...(when === undefined ? {} : { when }),
      ...(status === undefined ? {} : { status }),
    }
    return { place, member }
  })
  const members = told.map(({ member }) => member).filter((member) => member !== undefined)
  if (members.length === 0) return told.map(({ place }) => ({ place, items: [] }))
  const content: CareTeam = { type: 'care-team', kind: { codings: [], text: kind }, members }
  const items = emit(scope, { content })
  const first = told.find(({ member }) => member !== undefined)?.place
  return told.map(({ place, member }) => ({
    place,
    items: member === undefined ? [] : items,
    ...(place === first ? {} : { merged: true }),
  }))
}
