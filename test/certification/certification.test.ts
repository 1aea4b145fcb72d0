import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ready } from '../setup/programs.mjs'
import { cases, type Group, groups } from './cases.js'
import { runGroup } from './certification.js'
import { type Finding, score } from './finding.js'
import { atMost } from './world/openssl.js'

/** Every case once, with name and directory servers of our own where they serve; what waits most begins first. */
const needs: Readonly<Record<Group, readonly ('openssl' | 'dig' | 'slapd' | 'dovecot' | 'swaks' | 'python3')[]>> = {
  discovery: ['openssl'],
  hosting: ['openssl', 'dig', 'slapd'],
  bundles: ['openssl'],
  receiving: ['openssl'],
  sending: ['openssl'],
  mdn: ['openssl'],
  tracking: ['openssl', 'dovecot'],
  smtp: ['openssl', 'swaks', 'python3'],
  'imap-pop': ['openssl', 'dovecot', 'python3'],
  xdm: ['openssl'],
  regulatory: ['openssl'],
}
const missing = (group: Group) => needs[group].filter((name) => !ready(name))
const patient = new Set<Group>(['tracking', 'mdn', 'sending'])
const wanted = groups
  .filter((group) => missing(group).length === 0)
  .sort((a, b) => Number(patient.has(b)) - Number(patient.has(a)))
/** Groups at once: with more of them a machine of two cores misses deadlines that are seconds here. */
const several = atMost(4)

const home = mkdtempSync(join(tmpdir(), 'gateway-certification-'))
const found = new Map<string, Finding>()
beforeAll(async () => {
  const measure = { home, quietMs: 2_000, peers: 'own' as const, tell: () => undefined }
  const run = async (some: readonly Group[]) => {
    for (const findings of await Promise.all(some.map((group) => several(() => runGroup(group, measure)))))
      for (const finding of findings) found.set(finding.id, finding)
  }
  // It keeps the machine busy with passwords and handshakes, while others count seconds.
  await run(wanted.filter((group) => group !== 'regulatory'))
  await run(wanted.filter((group) => group === 'regulatory'))
}, 400_000)
afterAll(() => rmSync(home, { recursive: true, force: true }))

for (const group of groups) {
  const lacks = missing(group).join(', ')
  describe.skipIf(lacks !== '')(`the cases of ${group}${lacks === '' ? '' : ` (SKIPPED: no ${lacks})`}`, () => {
    it.each(cases.filter((one) => one.group === group))('$id: $title', ({ id }) => {
      const { passed, seen } = found.get(id) ?? { passed: false, seen: 'it was not run' }
      expect(passed, seen).toBe(true)
    })
  })
}

const list = fileURLToPath(new URL('../../../shared/spec/certification-cases.json', import.meta.url))
describe.skipIf(!existsSync(list))(
  'the list of cases (SKIPPED where the list of the suites is not beside the project)',
  () => {
    it('has every case of our groups, of the kind that the suites say', () => {
      const all = JSON.parse(readFileSync(list, 'utf8')) as {
        readonly cases: readonly { readonly id: string; readonly group: string; readonly kind: string }[]
      }
      const theirs = all.cases.filter(({ group }) => groups.some((ours) => ours === group))
      const told = (some: readonly { readonly id: string; readonly group: string; readonly kind: string }[]) =>
        some.map(({ id, group, kind }) => `${group} ${id} ${kind}`).sort()
      expect(told(cases)).toEqual(told(theirs))
    })
  },
)

describe('the score', () => {
  const one = (id: string, passed: boolean): Finding => ({ id, passed, seen: '' })
  it('counts required and conditional cases, and the others apart', () => {
    const findings = [one('DISC-D1', true), one('RCV-ETT-WILD', true), one('BUNDLE-PEM', false)]
    expect(score(findings)).toEqual({ words: 'certification: 2/2 (and 0/1 of policy and our own)', good: true })
  })
  it('is bad where one of them failed', () => {
    expect(score([one('DISC-D1', true), one('DISC-D2', false)])).toEqual({ words: 'certification: 1/2', good: false })
  })
})
