import { type AccessRule, type Permission, permissions, type RuleSets, type ScopeFilter } from '../direct/access.js'
import { type RecordItemType, recordItemTypes } from '../direct/clinical.js'
import { consentLimits } from './limits.js'
import type { AppFault } from './problem.js'

type Rules = readonly AccessRule[] | 'all'

/** Rules of nobody. */
export const noRules: RuleSets = { online: [], offline: [] }

/**
 * What is allowed by both: of every rule the pieces that lie in a rule of the ceiling. Pieces keep name, reason and
 * `optional` of the rule they are of; a piece that lies in another piece of its rule is left out.
 */
export function bounded(rules: readonly AccessRule[], ceiling: Rules): readonly AccessRule[] {
  if (ceiling === 'all') return rules
  return rules.flatMap((rule) => {
    if (ceiling.some((bound) => contains(bound, rule))) return [rule]
    const pieces = ceiling.flatMap((bound) => overlap(rule, bound) ?? [])
    return pieces.filter(
      (piece, index) =>
        // Of two that are the same the first one stays.
        !pieces.some((other, at) => at !== index && contains(other, piece) && (at < index || !contains(piece, other))),
    )
  })
}

/** Whether a rule lies in the rules of a ceiling whole: every permission on every kind in one rule that has its dates. */
export function covers(ceiling: Rules, rule: AccessRule): boolean {
  if (ceiling === 'all') return true
  if (ceiling.some((bound) => contains(bound, rule))) return true
  return rule.permissions.every((permission) =>
    (rule.types ?? recordItemTypes).every((type) =>
      ceiling.some((bound) => contains(bound, { ...rule, permissions: [permission], types: [type] })),
    ),
  )
}

/** What rules allow to a kind of item, whatever the dates. */
export function permissionsOn(rules: Rules, type: RecordItemType): readonly Permission[] {
  if (rules === 'all') return permissions
  return permissions.filter((permission) =>
    rules.some((rule) => rule.permissions.includes(permission) && rule.types?.includes(type) !== false),
  )
}

/** The same rules with nothing but reading left. */
export function readingOf(rules: readonly AccessRule[]): readonly AccessRule[] {
  return rules.flatMap((rule) => (rule.permissions.includes('read') ? [{ ...rule, permissions: ['read'] }] : []))
}

function contains(bound: AccessRule, rule: AccessRule): boolean {
  return (
    rule.permissions.every((permission) => bound.permissions.includes(permission)) &&
    (bound.types === undefined || rule.types?.every((type) => bound.types?.includes(type)) === true) &&
    (bound.from === undefined || (rule.from !== undefined && rule.from >= bound.from)) &&
    (bound.to === undefined || (rule.to !== undefined && rule.to <= bound.to)) &&
    (bound.within === undefined || sameFilter(bound.within, rule.within))
  )
}

function sameFilter(one: ScopeFilter, other: ScopeFilter | undefined): boolean {
  return one.resource === other?.resource && one.category === other?.category && one.reading === other?.reading
}

function overlap(rule: AccessRule, bound: AccessRule): AccessRule | undefined {
  const both = rule.permissions.filter((permission) => bound.permissions.includes(permission))
  const { types: bounds } = bound
  const types = bounds === undefined ? rule.types : (rule.types?.filter((type) => bounds.includes(type)) ?? bounds)
  const from = later(rule.from, bound.from)
  const to = earlier(rule.to, bound.to)
  const within = narrower(rule.within, bound.within)
  if (both.length === 0 || types?.length === 0 || within === 'nothing') return undefined
  if (from !== undefined && to !== undefined && from > to) return undefined
  const { name, reason, optional } = rule
  return {
    ...{ name, reason, permissions: both },
    ...(types && { types }),
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    ...(optional && { optional }),
    ...(within && { within }),
  }
}

function narrower(one: ScopeFilter | undefined, other: ScopeFilter | undefined): ScopeFilter | undefined | 'nothing' {
  if (!one || !other) return one ?? other
  const merged: Record<string, string> = {}
  for (const name of ['resource', 'category', 'reading'] as const) {
    const [first, second] = [one[name], other[name]]
    if (first !== undefined && second !== undefined && first !== second) return 'nothing'
    const value = first ?? second
    if (value !== undefined) merged[name] = value
  }
  return merged
}

function later(one: string | undefined, other: string | undefined): string | undefined {
  return one === undefined || (other !== undefined && other > one) ? other : one
}

function earlier(one: string | undefined, other: string | undefined): string | undefined {
  return one === undefined || (other !== undefined && other < one) ? other : one
}

const language = /^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$/
const controls = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u

/**
 * What is wrong with the two sets of rules that somebody registers; nothing where they are valid. Takes whatever JSON says.
 * Names are unique in their set, reasons have `en`, permissions and kinds are known ones, dates are days in their order.
 */
export function faultsOfRules(rules: unknown, where = 'rules'): readonly AppFault[] {
  if (!isObject(rules)) return [{ where, detail: 'There are an online and an offline set' }]
  const faults: AppFault[] = unknownMembers(rules, ['online', 'offline'], where)
  for (const set of ['online', 'offline'] as const) {
    const at = `${where}.${set}`
    const list = rules[set]
    if (!Array.isArray(list)) faults.push({ where: at, detail: 'A list of rules' })
    else if (list.length > consentLimits.rulesPerSet)
      faults.push({ where: at, detail: `At most ${consentLimits.rulesPerSet} rules` })
    else {
      const names = new Set<unknown>()
      for (const [index, rule] of (list as readonly unknown[]).entries()) {
        faults.push(...faultsOfRule(rule, `${at}.${index}`))
        const name = isObject(rule) ? rule['name'] : undefined
        if (names.has(name))
          faults.push({ where: `${at}.${index}.name`, detail: 'The name of another rule of the set' })
        names.add(name)
      }
    }
  }
  return faults
}

function faultsOfRule(rule: unknown, where: string): AppFault[] {
  if (!isObject(rule)) return [{ where, detail: 'A rule is an object' }]
  const { name, reason, permissions: asked, types, from, to, optional } = rule
  const known = ['name', 'reason', 'permissions', 'types', 'from', 'to', 'optional']
  const faults = unknownMembers(rule, known, where)
  const fault = (member: string, detail: string) => faults.push({ where: `${where}.${member}`, detail })
  if (!isText(name, consentLimits.ruleNameCharacters) || !/^\S+( \S+)*$/.test(name))
    fault('name', `1 to ${consentLimits.ruleNameCharacters} characters`)
  faults.push(...faultsOfReason(reason, `${where}.reason`))
  if (!isSetOf(asked, permissions) || asked.length === 0)
    fault('permissions', 'One to four of create, read, update, delete')
  if (types !== undefined && (!isSetOf(types, recordItemTypes) || types.length === 0))
    fault('types', 'Kinds of item, each once; leave it out for every kind')
  for (const [member, day] of Object.entries({ from, to }))
    if (day !== undefined && !isDay(day)) fault(member, 'A day, YYYY-MM-DD')
  if (isDay(from) && isDay(to) && from > to) fault('to', 'Not before `from`')
  if (optional !== undefined && optional !== true) fault('optional', 'true, or left out')
  return faults
}

function faultsOfReason(reason: unknown, where: string): AppFault[] {
  if (!isObject(reason) || reason['en'] === undefined) return [{ where, detail: 'A reason by language, at least `en`' }]
  const entries = Object.entries(reason)
  if (entries.length > consentLimits.languages)
    return [{ where, detail: `At most ${consentLimits.languages} languages` }]
  return entries.flatMap(([tag, text]) => {
    if (!language.test(tag)) return [{ where, detail: 'A language is a tag of BCP 47' }]
    if (isText(text, consentLimits.reasonCharacters)) return []
    return [{ where: `${where}.${tag}`, detail: `1 to ${consentLimits.reasonCharacters} characters` }]
  })
}

function unknownMembers(value: object, known: readonly string[], where: string): AppFault[] {
  const unknown = Object.keys(value).filter((name) => !known.includes(name))
  return unknown.length === 0 ? [] : [{ where, detail: `Nothing but ${known.join(', ')}` }]
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** One line for people: no controls, nothing that turns the direction of what follows, not blank. */
export function isText(value: unknown, most: number): value is string {
  return (
    typeof value === 'string' && value.length <= most && value.trim() === value && value !== '' && !controls.test(value)
  )
}

function isSetOf<T extends string>(value: unknown, known: readonly T[]): value is readonly T[] {
  const all: readonly unknown[] = known
  return Array.isArray(value) && value.every((one) => all.includes(one)) && new Set(value).size === value.length
}

function isDay(value: unknown): value is string {
  if (typeof value !== 'string' || !/^[1-9]\d{3}-\d\d-\d\d$/.test(value)) return false
  const date = new Date(`${value}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value)
}
