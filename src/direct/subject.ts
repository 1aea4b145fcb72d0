import type { ItemContent } from './clinical.js'
import type { Concept } from './datatypes.js'

/** The concept that an item is about; undefined for demographics and for a document without a code. */
export function subjectOf(content: ItemContent): Concept | undefined {
  switch (content.type) {
    case 'demographics':
      return undefined
    case 'allergy':
      return content.substance
    case 'problem':
      return content.problem
    case 'medication':
      return content.product
    case 'immunization':
      return content.vaccine
    case 'result':
    case 'vital-sign':
    case 'social-history':
    case 'functional-status':
      return content.test
    case 'procedure':
      return content.procedure
    case 'encounter':
      return content.encounter
    case 'family-history':
      return content.relation
    case 'advance-directive':
      return content.directive
    case 'insurance':
      return content.coverage
    case 'device':
      return content.device
    case 'goal':
      return content.goal
    case 'plan':
      return content.activity
    case 'care-team':
    case 'note':
      return content.kind
    case 'document':
      return content.code
  }
}
