import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, describe, expect, it } from 'vitest'
import { buildWriter } from './store-build.js'

const traced = spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0
const roots: string[] = []
afterAll(async () => {
  for (const root of roots) await rm(root, { recursive: true, force: true })
})

/** Commits that the writer acknowledged, and how often its process asked the disk to sync meanwhile. */
async function syncsOfWriter(change?: (path: string, text: string) => string) {
  const root = await mkdtemp(join(tmpdir(), 'gateway-sync-'))
  roots.push(root)
  const writer = await buildWriter(root, change)
  const trace = join(root, 'trace')
  const program = [process.execPath, writer, root, '0', 'honest', '50']
  const { stdout } = spawnSync('strace', ['-f', '-e', 'trace=fdatasync', '-o', trace, ...program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
  })
  const acknowledged = stdout.toString().split('\n').length - 1
  const syncs = (await readFile(trace, 'utf8')).split('\n').filter((line) => line.includes('fdatasync(')).length
  return { acknowledged, syncs }
}

describe.skipIf(!traced)('syncing to disk, as strace sees it (skipped where strace cannot trace)', () => {
  // Killing a process shows no missing sync: the kernel still has the bytes. Only the calls themselves do.
  it('happens for every group of commits: eight writers share one at most', async () => {
    const { acknowledged, syncs } = await syncsOfWriter()
    process.stdout.write(`store sync: ${acknowledged} commits acknowledged, ${syncs} fdatasync calls\n`)
    expect(acknowledged).toBe(400)
    expect(syncs * 8).toBeGreaterThanOrEqual(acknowledged)
  })

  it('is seen to be missing where the store does not ask for it (seeded bug)', async () => {
    let planted = 0
    const { acknowledged, syncs } = await syncsOfWriter((path, text) => {
      if (!path.endsWith('level.ts') || !text.includes('batch.write({ sync })')) return text
      planted++
      return text.replace('batch.write({ sync })', 'batch.write({ sync: false })')
    })
    expect(planted).toBe(1)
    expect(acknowledged).toBe(400)
    expect(syncs * 8).toBeLessThan(acknowledged)
  })
})
