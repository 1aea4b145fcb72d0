import type { RecordItem } from '../../direct/clinical.js'

/** Whether the thing is still to come: such an item never becomes a resource that says it was done. */
export function isRequest({ intent }: RecordItem): boolean {
  return intent === 'planned' || intent === 'ordered'
}

/** RequestIntent of FHIR by the source's mood: an order, a proposal, else a plan. */
export function requestIntent({ intent, mood }: RecordItem): string {
  if (mood === 'PRP') return 'proposal'
  if (mood === 'RQO' || intent === 'ordered') return 'order'
  return 'plan'
}

/**
 * RequestStatus of FHIR. A plan whose source calls it completed is `unknown`: what FHIR calls completed has been carried
 * out, and no plan says that.
 */
export function requestStatus(
  { intent, status }: RecordItem,
  words: { readonly revoked: string; readonly ended: string },
): string {
  const source = status?.source?.toLowerCase()
  if (source === 'nullified') return 'entered-in-error'
  if (source === 'suspended' || source === 'held') return 'on-hold'
  if (source === 'unknown') return 'unknown'
  switch (status?.folded) {
    case 'active':
    case 'planned':
      return 'active'
    case 'completed':
    case 'resolved':
      return intent === 'planned' ? 'unknown' : 'completed'
    case 'cancelled':
      return words.revoked
    case 'inactive':
      return words.ended
    default:
      return intent === 'planned' || intent === 'ordered' ? 'active' : 'unknown'
  }
}
