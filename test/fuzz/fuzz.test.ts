import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'

const program = fileURLToPath(new URL('run.mjs', import.meta.url))
const out = mkdtempSync(join(tmpdir(), 'fuzz-'))
afterAll(() => rmSync(out, { recursive: true, force: true }))

/** Runs the harness; its lines, and how it ended. */
function fuzz(...args: string[]): Promise<{ readonly lines: readonly string[]; readonly code: number }> {
  return new Promise((resolve) => {
    const run = execFile(process.execPath, [program, '--out', out, ...args], (_, text) =>
      resolve({ lines: text.trim().split('\n'), code: run.exitCode ?? -1 }),
    )
  })
}

/** With the inputs that even a busy machine reads in the time. */
const targets = {
  ...{ certificate: 250, crl: 250, ocsp: 250, dns: 250, bundle: 250, ldap: 250 },
  ...{ xml: 250, cda: 100, ccr: 50, xdm: 50 },
}

test('what reads a stranger’s bytes neither throws, nor takes a second, nor 256 MiB', async () => {
  const { lines, code } = await fuzz('--seconds', '5', '--seed', '1')
  expect(lines.at(-1), lines.join('\n')).toMatch(/^fuzz: 10 targets, \d+ inputs, 0 findings$/)
  expect(code).toBe(0)
  for (const [target, least] of Object.entries(targets)) {
    const found = lines.map((line) => new RegExp(`^${target}: (\\d+) inputs, (\\d+) kept`).exec(line)).find(Boolean)
    expect(Number(found?.[1]), target).toBeGreaterThan(least)
    expect(Number(found?.[2]), target).toBeGreaterThan(3)
  }
})

describe('a bug that is planted is found', () => {
  // On a busy machine, what takes seconds of a core stands still for the watcher.
  test.each([
    ['certificate', 'throws', /crash at input \d+: TypeError: planted/],
    ['crl', 'slow', /slow at input \d+: (?:\d+ ms|stands still)/],
    ['ocsp', 'hungry', /memory at input \d+: \d+ MiB for one input/],
    ['dns', 'leaks', /memory at input \d+: \d+ MiB more than at first are not given back/],
    ['bundle', 'stuck', /slow at input \d+: stands still/],
    ['ldap', 'throws', /crash at input \d+: TypeError: planted/],
    ['xml', 'throws', /crash at input \d+: TypeError: planted/],
    ['cda', 'slow', /slow at input \d+: (?:\d+ ms|stands still)/],
    ['ccr', 'throws', /crash at input \d+: TypeError: planted/],
    ['xdm', 'hungry', /memory at input \d+: \d+ MiB for one input/],
  ] as const)('in %s, one that %s', async (target, bug, words) => {
    const { lines, code } = await fuzz('--target', target, '--bug', bug, '--first', '--seconds', '30', '--seed', '1')
    expect(lines.join('\n')).toMatch(words)
    expect(lines.at(-1)).toMatch(/^fuzz: 1 targets, \d+ inputs, 1 findings$/)
    expect(code).toBe(1)
    const kept = lines.map((line) => line.trim()).find((line) => line.endsWith('.bin')) ?? ''
    expect(readFileSync(kept).length).toBeGreaterThan(0)
    if (bug !== 'throws') return
    const again = await fuzz('--target', target, '--bug', bug, '--file', kept)
    expect(again.lines.join('\n')).toMatch(words)
  })
})

test('two runs with one seed read the same inputs', async () => {
  const terms = ['--target', 'crl', '--bug', 'throws', '--first', '--seed', '5', '--seconds', '30']
  const [one, other] = await Promise.all([fuzz(...terms), fuzz(...terms)])
  const finding = (lines: readonly string[]) => lines.find((line) => line.includes('crash at input'))
  expect(finding(one.lines)).toBeDefined()
  expect(finding(one.lines)).toBe(finding(other.lines))
})

test('says what it knows where it does not know a target', async () => {
  const { code } = await fuzz('--target', 'weather')
  expect(code).toBe(2)
})
