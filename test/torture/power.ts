import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import type { Dice } from './dice.js'

/**
 * A power cut, played after a SIGKILL: whatever was not synced is taken away again, by the journal of powercut.c. The
 * model is that of journalling file systems (ext4, xfs, btrfs): the bytes of a file last up to its last sync; changes of
 * names last in their order, at least up to the last that a sync reached (its own file's, or its own folder's), and those
 * after may be gone, the last first. What lies behind the synced length is cut, torn, zeros or garbage.
 */

export const manners = ['cut', 'torn', 'zeros', 'garbage'] as const
export type Manner = (typeof manners)[number]

/** The compiled shim, or why there is none. Asked once a run. */
export function shim(): string | undefined {
  const setup = fileURLToPath(new URL('../setup/torture.mjs', import.meta.url))
  found ??= spawnSync(process.execPath, [setup], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  }).stdout.trim()
  return found === '' ? undefined : found
}
let found: string | undefined

export interface SyncFault {
  /** Which sync fails, from 1. */
  readonly at: number
  readonly error: 'EIO' | 'ENOSPC'
  /** Every later one too, as on a disk that died. */
  readonly forever?: boolean
}

const numbers = { EIO: 5, ENOSPC: 28 }

/** A disk that can be cut off: a folder, what its files were when the power came, and a journal since then. */
export interface CuttableDisk {
  readonly folder: string
  /** The environment of whoever writes to it from now on. Forgets what the journal said before. */
  powered(fault?: SyncFault): Record<string, string>
  /** Cuts the power after the writer's death; answers what happened, in numbers. */
  cut(chance: Dice): CutReport
  /** Syncs that were made to fail since the power came, by path. */
  failed(): readonly string[]
}

export interface CutReport {
  readonly manner: Manner
  /** Files that lost bytes, and how many. */
  readonly files: number
  readonly bytes: number
  /** Changes of names that were undone, of those that nothing had made last. */
  readonly undone: number
  readonly unsyncedNames: number
  /** Bytes written over in place: more than this model can take back. */
  readonly overwrites: number
}

/** `folder` must be absolute; the journal is kept in `beside`, on the same file system. */
export function cuttableDisk(folder: string, beside: string): CuttableDisk {
  const library = shim()
  if (library === undefined) throw new Error('there is no shim')
  const journal = join(beside, 'journal')
  const keep = join(beside, 'kept')
  let lengths = new Map<string, number>()
  return {
    folder,
    powered(fault) {
      rmSync(journal, { force: true })
      rmSync(keep, { recursive: true, force: true })
      mkdirSync(keep, { recursive: true })
      lengths = new Map(filesBelow(folder).map((path) => [inode(path), lstatSync(path).size]))
      return {
        LD_PRELOAD: library,
        UV_USE_IO_URING: '0', // asks the kernel directly, past the shim
        PC_ROOT: folder,
        PC_JOURNAL: journal,
        PC_KEEP: keep,
        ...(fault && { PC_FAIL_AT: String(fault.at), PC_ERRNO: String(numbers[fault.error]) }),
        ...(fault?.forever && { PC_FAIL_ALL: '1' }),
      }
    },
    cut(chance) {
      const told = readJournal(existsSync(journal) ? readFileSync(journal, 'utf8') : '', lengths)
      const { undone, unsyncedNames } = undoNames(told, chance)
      const manner = chance.pick(manners)
      const { files, bytes } = loseBytes(folder, told, manner, chance)
      return { manner, files, bytes, undone, unsyncedNames, overwrites: told.overwrites }
    },
    failed() {
      if (!existsSync(journal)) return []
      const lines = readFileSync(journal, 'utf8').split('\n')
      return lines.filter((line) => line.startsWith('F\t')).map((line) => line.split('\t')[3] ?? '')
    },
  }
}

type NameChange =
  | { readonly kind: 'created'; readonly ino: string; readonly path: string }
  | { readonly kind: 'folder'; readonly path: string }
  | {
      readonly kind: 'renamed'
      readonly ino: string
      readonly from: string
      readonly to: string
      readonly kept: string
    }
  | { readonly kind: 'removed'; readonly ino: string; readonly path: string; readonly kept: string }

interface Told {
  readonly names: readonly NameChange[]
  /** So many of the name changes last. */
  readonly lasting: number
  /** By inode: how many first bytes last. */
  readonly lengths: ReadonlyMap<string, number>
  /** By inode: stretches whose sync failed. A later sync does not bring them back: the kernel has given them up. */
  readonly holes: ReadonlyMap<string, readonly (readonly [number, number])[]>
  readonly overwrites: number
}

function readJournal(text: string, before: ReadonlyMap<string, number>): Told {
  const names: NameChange[] = []
  const lengths = new Map(before)
  const holes = new Map<string, (readonly [number, number])[]>()
  let lasting = 0
  let overwrites = 0
  const reach = (upto: number, touches: (change: NameChange) => boolean) => {
    for (let at = Math.min(upto, names.length); at > lasting; at--) {
      const change = names[at - 1]
      if (change && touches(change)) lasting = at
    }
  }
  for (const line of text.split('\n').slice(0, -1)) {
    const [letter = '', a = '', b = '', c = '', d = '', e = ''] = line.split('\t')
    if (letter === 'C') names[Number(a) - 1] = { kind: 'created', ino: b, path: c }
    else if (letter === 'M') names[Number(a) - 1] = { kind: 'folder', path: b }
    else if (letter === 'R') names[Number(a) - 1] = { kind: 'renamed', ino: b, from: c, to: d, kept: e }
    else if (letter === 'U') names[Number(a) - 1] = { kind: 'removed', ino: b, path: c, kept: d }
    else if (letter === 'S') {
      lengths.set(a, Math.max(lengths.get(a) ?? 0, Number(b)))
      reach(Number(c), (change) => 'ino' in change && change.ino === a)
    } else if (letter === 'D')
      reach(Number(b), (change) =>
        change.kind === 'renamed' ? dirname(change.from) === a || dirname(change.to) === a : dirname(change.path) === a,
      )
    else if (letter === 'T') lengths.set(a, Math.min(lengths.get(a) ?? 0, Number(b)))
    else if (letter === 'F') holes.set(a, [...(holes.get(a) ?? []), [lengths.get(a) ?? 0, Number(b)]])
    else if (letter === 'W') overwrites++
    if (letter === 'C') lengths.set(b, 0)
  }
  return { names, lasting, lengths, holes, overwrites }
}

/** Takes back the last changes of names, up to a moment after the last one that is known to last; half the time all that may be. */
function undoNames({ names, lasting }: Told, chance: Dice) {
  const from = chance.share() < 0.5 ? lasting : chance.between(lasting, names.length)
  for (const change of names.slice(from).reverse()) {
    if (change.kind === 'created') rmSync(change.path, { force: true })
    else if (change.kind === 'folder') rmSync(change.path, { recursive: true, force: true })
    else if (change.kind === 'renamed') {
      if (existsSync(change.to)) renameSync(change.to, change.from)
      if (change.kept !== '-') linkSync(change.kept, change.to)
    } else if (change.kept !== '-' && !existsSync(change.path)) linkSync(change.kept, change.path)
  }
  return { undone: names.length - from, unsyncedNames: names.length - lasting }
}

function loseBytes(folder: string, { lengths, holes }: Told, manner: Manner, chance: Dice) {
  let files = 0
  let bytes = 0
  for (const path of filesBelow(folder)) {
    const ino = inode(path)
    const lasting = lengths.get(ino) ?? 0
    const { size } = lstatSync(path)
    for (const [from, to] of holes.get(ino) ?? [])
      overwrite(path, Math.min(from, size), Math.min(to, size), 'zeros', chance)
    if (size <= lasting) continue
    files++
    bytes += size - lasting
    if (manner === 'cut') truncateSync(path, lasting)
    else if (manner === 'torn') truncateSync(path, chance.between(lasting, size))
    else overwrite(path, lasting, size, manner, chance)
  }
  return { files, bytes }
}

function overwrite(path: string, from: number, to: number, manner: 'zeros' | 'garbage', chance: Dice) {
  if (to <= from) return
  // Garbage repeats itself after a while: drawing megabytes byte by byte would be the slowest part of a round.
  const pattern = manner === 'zeros' ? Buffer.alloc(4096) : chance.bytes(4099)
  const file = openSync(path, 'r+')
  for (let at = from; at < to; at += pattern.length) writeSync(file, pattern, 0, Math.min(pattern.length, to - at), at)
  closeSync(file)
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

function inode(path: string): string {
  return String(lstatSync(path).ino)
}
