import type { Json, JsonObject, Resource } from '../clinical/fhir/json.js'
import type { Mapped } from '../clinical/fhir/map.js'
import { type AccessRule, permits, type Reading, type RecordAccess, type Shape } from '../direct/access.js'
import type { RecordItem } from '../direct/clinical.js'
import { itemTypesOf, shapesOf } from '../direct/smart-scopes.js'
import { dayOf } from '../record/rows.js'

/** What of a record a caller sees as FHIR. Rules are asked of each item, and again of each resource that was made of it. */

/** Whether any rule gives anything of a type; where none does, that is said, and nothing is looked for. */
export function mayRead(rules: readonly AccessRule[] | 'all', type: string, reading: Reading): boolean {
  if (rules === 'all') return true
  return rules.some(
    ({ permissions, types, within }) =>
      permissions.includes('read') &&
      (within?.resource === undefined || within.resource === type) &&
      (within?.reading === undefined || within.reading === reading) &&
      (types === undefined || itemTypesOf[type]?.some((one) => types.includes(one)) === true),
  )
}

/** Whether any rule gives anything at all to be found. */
export function mayReadAny(rules: readonly AccessRule[] | 'all'): boolean {
  return Object.keys(itemTypesOf).some((type) => type !== 'Provenance' && mayRead(rules, type, 'by-search'))
}

/** Whether a caller may see an item: as a resource of this type, or as any that it becomes. */
export function maySee(
  { rules }: RecordAccess,
  item: RecordItem,
  { resource, reading }: { readonly resource?: string; readonly reading: Reading },
): boolean {
  const own = shapesOf(item)
  const other = own.every((shape) => shape.resource !== resource)
  const shapes =
    resource === undefined
      ? own
      : other
        ? [{ resource, categories: [] }]
        : own.filter((shape) => shape.resource === resource)
  return permits(rules, 'read', item.content.type, dayOf(item), { shapes, reading })
}

/** Whether a caller may see a resource: all that it was made of, as what it is. A Patient may be made of nothing. */
export function maySeeResource({ rules }: RecordAccess, { resource, of }: Mapped, reading: Reading): boolean {
  if (of.length === 0) return mayRead(rules, resource.resourceType, reading)
  const shapes = [shapeOf(resource)]
  return of.every(({ item }) => permits(rules, 'read', item.content.type, dayOf(item), { shapes, reading }))
}

function shapeOf({ resourceType, category }: Resource): Shape {
  const codings = listOf(category).flatMap((one) => listOf(isObject(one) ? one['coding'] : undefined))
  return {
    resource: resourceType,
    categories: codings.filter(isObject).map(({ system, code }) => `${text(system)}|${text(code)}`),
  }
}

function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : []
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && !Array.isArray(value)
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}
