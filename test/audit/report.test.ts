import { expect, it } from 'vitest'
import { audit } from '../../src/audit/audit.js'
import { openAuditReport, reportLimits } from '../../src/audit/report.js'
import type { AuditField, AuditQuery } from '../../src/ports/audit.js'
import { auditFields } from '../../src/ports/audit.js'
import { openMemoryStore } from '../../src/store/memory.js'

const minute = 60_000

/** So many entries, a minute apart, by three people in turn. */
async function log(entries: number, limits: Partial<typeof reportLimits> = {}) {
  const store = await openMemoryStore({ clock: { now: () => 0 } })
  for (let index = 0; index < entries; index++) {
    const outcome = index % 5 === 0 ? 'refused' : 'success'
    const actor = `token:${'abc'[index % 3]}`
    const action = index % 2 ? 'api.item.read' : 'message.delivered'
    const subject = {
      record: `r${index % 4}`,
      ...(index % 2 ? { message: `m${index}`, client: `10.0.0.${index}` } : {}),
    }
    const entry = { at: index * minute, action, actor, subject, outcome, ...(outcome === 'refused' && { reason: 'x' }) }
    await store.commit({ append: [audit.entry(entry as Parameters<typeof audit.entry>[0])] })
  }
  const { report } = openAuditReport(store, { ...reportLimits, skewMs: 2 * minute, page: 7, ...limits })
  return async (query: Partial<AuditQuery> = {}) => {
    const page = await report({ limit: 1000, ...query })
    if (page.kind !== 'page') throw new Error(page.kind)
    return page
  }
}

it('tells what happened between two moments', async () => {
  const report = await log(100)
  const { entries } = await report({ from: 40 * minute, to: 45 * minute })
  expect(entries.map(({ at }) => at / minute)).toEqual([40, 41, 42, 43, 44])
  expect((await report({ from: 1000 * minute })).entries).toEqual([])
  expect((await report()).entries).toHaveLength(100)
})

it('finds by who, what, to what and how it ended', async () => {
  const report = await log(60)
  expect((await report({ actor: 'token:a' })).entries).toHaveLength(20)
  expect((await report({ action: 'api.*' })).entries).toHaveLength(30)
  expect((await report({ action: 'api.' })).entries).toHaveLength(0)
  expect((await report({ outcome: 'refused' })).entries).toHaveLength(12)
  expect((await report({ subject: 'r3' })).entries).toHaveLength(15)
})

it.each(auditFields.map((field) => [field] as const))('sorts by %s, both ways', async (field: AuditField) => {
  const report = await log(30)
  const of = (entries: readonly { readonly subject: Readonly<Record<string, string>> }[]) =>
    entries.map((entry) => (entry as unknown as Record<string, unknown>)[field] ?? entry.subject[field] ?? '')
  const up = of((await report({ sort: field, descending: false })).entries)
  const down = of((await report({ sort: field, descending: true })).entries)
  expect(up).toEqual([...up].sort((a, b) => ((a as string) < (b as string) ? -1 : a === b ? 0 : 1)))
  expect(down).toEqual([...up].reverse())
  expect(new Set(up).size).toBeGreaterThan(1)
})

it('comes in pages, none of which repeats or skips', async () => {
  const report = await log(50, { looked: 9 })
  const all: number[] = []
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page: Awaited<ReturnType<typeof report>> = await report({ limit: 4, actor: 'token:b', after })
    all.push(...page.entries.map(({ sequence }) => sequence))
    after = page.next
  }
  expect(all).toEqual(Array.from({ length: 50 }, (_, index) => index + 1).filter((one) => one % 3 === 2))
})

it('refuses to sort more than fits', async () => {
  const report = await log(20, { sorted: 10 })
  await expect(report({ sort: 'actor' })).rejects.toThrow('too-many')
  expect((await report({ sort: 'actor', to: 9 * minute })).entries).toHaveLength(9)
})

it('finds the beginning in few reads', async () => {
  const store = await openMemoryStore({ clock: { now: () => 0 } })
  for (let index = 0; index < 2000; index++) {
    const entry = { at: index * minute, action: 'a', actor: 'b', subject: {}, outcome: 'success' as const }
    await store.commit({ append: [audit.entry(entry)] })
  }
  let reads = 0
  const counting: Pick<typeof store, 'log'> = {
    log: (...asked) => {
      reads++
      return store.log(...asked)
    },
  }
  const page = await openAuditReport(counting).report({ from: 1990 * minute, limit: 10 })
  expect(page).toMatchObject({ kind: 'page', entries: { length: 10 } })
  expect(reads).toBeLessThan(40)
})
