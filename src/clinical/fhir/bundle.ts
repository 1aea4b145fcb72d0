import { type Json, type JsonObject, type Resource, writeJson } from './json.js'
import { narrative } from './make.js'

export type Severity = 'fatal' | 'error' | 'warning' | 'information'

/** An OperationOutcome: `code` is an IssueType of FHIR, `diagnostics` our own words. */
export function operationOutcome(
  severity: Severity,
  code: string,
  diagnostics: string,
  more: JsonObject = {},
): JsonObject {
  return {
    resourceType: 'OperationOutcome',
    text: narrative([diagnostics]),
    issue: [{ severity, code, diagnostics, ...more }],
  }
}

export interface Page {
  readonly base: string
  readonly matches: readonly Resource[]
  readonly included: readonly Resource[]
  readonly total: number
  readonly self: string
  readonly next?: string
  /** Said beside the matches: parameters that were not used. */
  readonly warning?: string
}

/** A searchset Bundle (FHIR R4 §3.1.1.3), as JSON text. */
export function searchset({ base, matches, included, total, self, next, warning }: Page): string {
  const entry = (mode: string) => (resource: Resource) => ({
    fullUrl: `${base}/${resource.resourceType}/${resource.id}`,
    resource,
    search: { mode },
  })
  const outcome: Json[] =
    warning === undefined
      ? []
      : [{ resource: operationOutcome('warning', 'not-supported', warning), search: { mode: 'outcome' } }]
  return writeJson({
    resourceType: 'Bundle',
    type: 'searchset',
    total,
    link: [{ relation: 'self', url: self }, ...(next === undefined ? [] : [{ relation: 'next', url: next }])],
    entry: [...matches.map(entry('match')), ...included.map(entry('include')), ...outcome],
  })
}
