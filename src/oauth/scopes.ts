import type { App } from '../consent/consent.js'
import type { AccessRule, Avenue } from '../direct/access.js'
import { grantedScopes, readScope, type SmartScope, writeScope } from '../direct/smart-scopes.js'

/** Scopes that name no resources, for applications that a person uses (SMART App Launch 2.2 §3). */
export const plainScopes = ['openid', 'fhirUser', 'launch/patient', 'offline_access', 'online_access'] as const

/** What backends ask for themselves, beside `system/`: what the operator let them do. */
export const appScopes = ['connect', 'drop-off', 'register'] as const

const isPlain = (word: string) => (plainScopes as readonly string[]).includes(word)

export function wordsOf(scope: unknown): readonly string[] {
  return typeof scope === 'string' ? [...new Set(scope.split(' ').filter((word) => word !== ''))] : []
}

/** Whether a record is asked for, or only who the person is. */
export function wantsRecord(words: readonly string[]): boolean {
  return words.some((word) => word === 'launch/patient' || readScope(word)?.context === 'patient')
}

/**
 * Whether an application comes with the person or alone. Alone where it asks to, or where it never does anything else, as
 * applications on a device (HealthVault's SODA); never where the operator gave it no rules for that.
 */
export function avenueOf(app: App, words: readonly string[]): Extract<Avenue, 'online' | 'offline'> {
  const { online, offline } = app.rules
  if (offline.length === 0) return 'online'
  return words.includes('offline_access') || online.length === 0 ? 'offline' : 'online'
}

/** The words among those asked that could be granted to an application at all: the others are passed over (RFC 6749 §3.3). */
export function askable(app: App, words: readonly string[]): readonly string[] {
  return granted(app, words, app.rules[avenueOf(app, words)])
    .map(({ asked }) => asked)
    .filter((word, at, all) => all.indexOf(word) === at)
}

/** What a token says that it may: each asked word as it stands where all of it was granted, else what was. */
export function grantedWords(app: App, words: readonly string[], rules: readonly AccessRule[]): readonly string[] {
  return [...new Set(granted(app, words, rules).map(({ given }) => given))]
}

function granted(app: App, words: readonly string[], rules: readonly AccessRule[]) {
  const avenue = avenueOf(app, words)
  return words.flatMap((asked) => {
    if (isPlain(asked)) return isIdle(asked, avenue) ? [] : [{ asked, given: asked }]
    const scope = readScope(asked)
    return scope?.context === 'patient' ? narrowedWords(asked, scope, rules) : []
  })
}

/** `offline_access` without rules for it, and `online_access` where the application comes alone anyway. */
function isIdle(word: string, avenue: 'online' | 'offline'): boolean {
  return (word === 'offline_access' && avenue === 'online') || (word === 'online_access' && avenue === 'offline')
}

function narrowedWords(asked: string, scope: SmartScope, rules: readonly AccessRule[]) {
  const given = grantedScopes([scope], rules).map(writeScope)
  // A client of version 1 finds its own spelling again.
  if (given.length === 1 && given[0] === writeScope(scope)) return [{ asked, given: asked }]
  return given.map((one) => ({ asked, given: one }))
}

/** What a backend may have of what it asks for itself (SMART Backend Services; `connect`, `drop-off`, `register`). */
export function backendWords(app: App, words: readonly string[]): readonly string[] {
  const may: readonly string[] = app.may
  return words.flatMap((asked) => {
    if ((appScopes as readonly string[]).includes(asked)) return may.includes(asked) ? [asked] : []
    const scope = readScope(asked)
    if (app.kind !== 'clinic' || scope?.context !== 'system') return []
    return narrowedWords(asked, scope, app.rules.offline).map(({ given }) => given)
  })
}

/** The resource scopes of a token. */
export function resourceScopes(words: readonly string[]): readonly SmartScope[] {
  return words.flatMap((word) => readScope(word) ?? [])
}
