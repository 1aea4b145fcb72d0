import { readFinding, readFindings, readTrackedFindings } from './findings.js'
import type { ReadStatement } from './nested.js'
import type { Scope } from './scope.js'

/**
 * Abilities, mental and cognitive status (C-CDA 22.4.66-.69, .73-.77, .127, .128; CCD R1 in the shape of problems and
 * results): one item for each finding.
 */
export function readFunctional(scope: Scope, nested: ReadStatement): number {
  switch (scope.place.node.local) {
    case 'organizer':
      return readFindings(scope, 'functional-status', nested)
    case 'observation':
      return readFinding(scope, 'functional-status', nested)
    case 'act':
      return readTrackedFindings(scope, 'functional-status', nested)
    default:
      return 0
  }
}
