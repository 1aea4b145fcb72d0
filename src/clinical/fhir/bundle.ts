import { type Json, type JsonObject, type Resource, Written, writeJson } from './json.js'
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

/** One resource of a Bundle, written: the same text stands in answers of any size. */
export interface Entry {
  readonly type: string
  readonly id: string
  readonly text: string
}

export function entryOf(resource: Resource): Entry {
  return { type: resource.resourceType, id: resource.id, text: writeJson(resource) }
}

export interface Page {
  readonly base: string
  readonly matches: readonly Entry[]
  readonly included: readonly Entry[]
  /** All that match; absent where only all of a record could tell. */
  readonly total?: number
  readonly self: string
  readonly next?: string
  /** Said beside the matches, each with its IssueType: parameters that were not used, what is missing. */
  readonly warnings?: readonly { readonly code: string; readonly detail: string }[]
}

/** A searchset Bundle (FHIR R4 §3.1.1.3), as JSON text. */
export function searchset({ base, matches, included, total, self, next, warnings = [] }: Page): string {
  const entry = (mode: string) => (one: Entry) => ({
    fullUrl: `${base}/${one.type}/${one.id}`,
    resource: new Written(one.text),
    search: { mode },
  })
  const outcomes: Json[] = warnings.map(({ code, detail }) => ({
    resource: operationOutcome('warning', code, detail),
    search: { mode: 'outcome' },
  }))
  return writeJson({
    resourceType: 'Bundle',
    type: 'searchset',
    total,
    link: [{ relation: 'self', url: self }, ...(next === undefined ? [] : [{ relation: 'next', url: next }])],
    entry: [...matches.map(entry('match')), ...included.map(entry('include')), ...outcomes],
  })
}
