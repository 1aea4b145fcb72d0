import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, describe, expect, it } from 'vitest'
import type { Dice } from './dice.js'
import { type CuttableDisk, cuttableDisk, type SyncFault, shim } from './power.js'

const home = mkdtempSync(join(tmpdir(), 'gateway-power-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** Always the lowest draw: all that may be taken is taken, and files are cut. */
const worst: Dice = {
  share: () => 0,
  between: (low) => low,
  pick: <T>(from: readonly T[]) => from[0] as T,
  bytes: (count) => Buffer.alloc(count),
}

let disks = 0
function newDisk(): CuttableDisk {
  const beside = join(home, String(disks++))
  mkdirSync(join(beside, 'data'), { recursive: true })
  return cuttableDisk(join(beside, 'data'), beside)
}

/** Runs lines of a program in another process, over the disk, and cuts its power. */
function played(disk: CuttableDisk, lines: string, fault?: SyncFault) {
  const program = `import { openSync, writeSync, fsyncSync, fdatasyncSync, renameSync, unlinkSync, mkdirSync, closeSync } from 'node:fs'
    process.chdir(process.argv[1]); const at = (name) => process.argv[1] + '/' + name
    const make = (name, text, sync) => { const f = openSync(at(name), 'w'); writeSync(f, text); if (sync) fsyncSync(f); return f }
    const syncFolder = (name = '') => { const f = openSync(name === '' ? process.argv[1] : at(name), 'r'); fsyncSync(f); closeSync(f) }
    ${lines}`
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program, disk.folder], {
    env: { ...process.env, ...disk.powered(fault) },
    encoding: 'utf8',
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return disk.cut(worst)
}

const text = (disk: CuttableDisk, name: string) => readFileSync(join(disk.folder, name), 'utf8')

describe.skipIf(shim() === undefined)(
  'the played power cut (SKIPPED where there is no C compiler for the shim)',
  () => {
    it('leaves what was synced, and takes what was appended after', () => {
      const disk = newDisk()
      played(disk, "const f = make('a', 'lasting', true); writeSync(f, ' and not')")
      expect(text(disk, 'a')).toBe('lasting')
    })

    it('takes a file that nothing made last, name and all', () => {
      const disk = newDisk()
      const report = played(disk, "make('a', 'gone', false)")
      expect(readdirSync(disk.folder)).toEqual([])
      expect(report.undone).toBe(1)
    })

    it('leaves the name of a file that was synced, as journalling file systems do', () => {
      const disk = newDisk()
      played(disk, "make('a', 'x', true)")
      expect(existsSync(join(disk.folder, 'a'))).toBe(true)
    })

    it('undoes a rename that no folder sync followed, and brings back what it replaced', () => {
      const disk = newDisk()
      played(disk, "make('old', '1', true); make('new', '2', true)")
      played(disk, "renameSync(at('new'), at('old'))")
      expect([text(disk, 'old'), text(disk, 'new')]).toEqual(['1', '2'])
      played(disk, "renameSync(at('new'), at('old')); syncFolder()")
      expect(readdirSync(disk.folder)).toEqual(['old'])
      expect(text(disk, 'old')).toBe('2')
    })

    it('brings back a removed name, unless a folder sync followed', () => {
      const disk = newDisk()
      played(disk, "make('a', '1', true)")
      played(disk, "unlinkSync(at('a'))")
      expect(text(disk, 'a')).toBe('1')
      played(disk, "unlinkSync(at('a')); syncFolder()")
      expect(readdirSync(disk.folder)).toEqual([])
    })

    it('keeps the order of names: what came before one that lasts lasts too', () => {
      const disk = newDisk()
      played(disk, "mkdirSync(at('d')); make('d/a', '1', false); make('d/b', '2', true)")
      expect(readdirSync(join(disk.folder, 'd')).sort()).toEqual(['a', 'b'])
      expect(statSync(join(disk.folder, 'd/a')).size).toBe(0)
    })

    it('gives up what a failed sync should have made last, whatever is synced later', () => {
      const disk = newDisk()
      const lines =
        "const f = make('a', 'first', true); writeSync(f, 'SECOND'); try { fdatasyncSync(f) } catch { writeSync(f, 'third') } fdatasyncSync(f)"
      played(disk, lines, { at: 2, error: 'EIO' })
      expect(text(disk, 'a')).toBe(`first${'\0'.repeat('SECOND'.length)}third`)
      expect(disk.failed()).toEqual([join(disk.folder, 'a')])
    })

    it('says when bytes were written over in place, which it cannot take back', () => {
      const disk = newDisk()
      const report = played(disk, "const f = make('a', 'first', true); writeSync(f, 'F', 0)")
      expect(report.overwrites).toBe(1)
    })
  },
)
