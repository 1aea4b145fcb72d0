import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openLevelStore } from '../../src/store/level/level.js'
import { tell } from '../fixtures/process.js'
import { clock } from './clock.js'
import { kill, powerCut } from './gateway.js'
import { shim } from './power.js'
import { copyProduct } from './product.js'
import { killStore, powerCutStore, runWriter } from './store.js'
import { failingSyncStore } from './sync-faults.js'
import { type Harness, holds, lineOf, type Verdict } from './verdict.js'

/** A few rounds of every harness that is quick; `npm run torture` runs all of them for as long as it is told. */

const home = mkdtempSync(join(tmpdir(), 'gateway-torture-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** Runs a harness from a seed of its own and says which, so that a failure can be played again. */
async function judged(name: string, harness: Harness, rounds: number): Promise<Verdict> {
  const seed = String(Date.now())
  const began = performance.now()
  const found = await harness({ rounds, seed, home, tell: () => undefined })
  if ('skipped' in found) throw new Error(found.skipped)
  const verdict = { ...found, name, seconds: (performance.now() - began) / 1000 }
  tell(`seed ${seed}  ${lineOf(verdict)}`)
  return verdict
}

function expectWell(verdict: Verdict): void {
  expect(verdict.trouble).toEqual([])
  expect({ lost: verdict.lost, duplicated: verdict.duplicated }).toEqual({ lost: 0, duplicated: 0 })
  expect(verdict.acknowledged).toBeGreaterThan(0)
  expect(verdict.caught).toBe(true)
}

describe('a process that is killed', () => {
  it('loses nothing that its store acknowledged; one that replies first is caught', async () => {
    expectWell(await judged('kill-store', killStore, 4))
  })

  it('is alone with its data folder: a second one is told that it is in use', async () => {
    const folder = join(home, 'locked')
    const store = await openLevelStore(join(folder, 'store'), { now: () => Date.now() })
    const { code, words } = await runWriter(copyProduct(home, 'second'), folder, 0, { count: 1 })
    await store.close()
    expect(code).not.toBe(0)
    expect(words).toContain('in use by another process')
  })

  it('has delivered every acknowledged message once, with one notice and a whole audit log', async () => {
    expectWell(await judged('kill', kill, 2))
  })
})

describe.skipIf(shim() === undefined)('a power cut (SKIPPED where there is no C compiler for the shim)', () => {
  it('takes nothing that store and blobs acknowledged; what was not synced is missed', async () => {
    expectWell(await judged('power-cut-store', powerCutStore, 4))
  })

  it('takes no acknowledged message from a gateway', async () => {
    expectWell(await judged('power-cut', powerCut, 2))
  })
})

describe.skipIf(shim() === undefined)('a sync that fails (SKIPPED where there is no C compiler for the shim)', () => {
  it('is never followed by an acknowledgement; a sync asked for again is caught', async () => {
    expectWell(await judged('failing-sync-store', failingSyncStore, 8))
  })
})

describe('a clock that jumps', () => {
  it('makes no storm, gives nothing up early, and breaks no audit log', async () => {
    expectWell(await judged('clock', clock, 1))
  })
})

describe('the verdict of a harness', () => {
  const good: Verdict = {
    ...{
      name: 'kill',
      rounds: 1,
      acknowledged: 1,
      lost: 0,
      duplicated: 0,
      caught: true,
      trouble: [],
      notes: [],
      seconds: 1,
    },
  }

  it('holds only where nothing is lost, doubled or odd, and the planted bug was seen', () => {
    expect(holds(good)).toBe(true)
    for (const flaw of [{ lost: 1 }, { duplicated: 1 }, { caught: false }, { trouble: ['odd'] }])
      expect(holds({ ...good, ...flaw })).toBe(false)
  })
})
