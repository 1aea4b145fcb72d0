import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** The `openssl` program in a folder of its own: everything that the far side signs, encrypts, decrypts and verifies. */
const run = promisify(execFile)

export interface OpenSsl {
  readonly folder: string
  /** A path in the folder that nobody has used yet. */
  path(name: string): string
  /** Writes a file in the folder; answers its path. */
  write(name: string, bytes: string | Uint8Array): string
  /** Runs `openssl` with these words; answers its stdout. Rejects with its stderr where it fails. */
  (...words: readonly string[]): Promise<Buffer>
}

/** Opens a folder for the program to work in. */
export function openSsl(folder: string): OpenSsl {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  let files = 0
  const path = (name: string) => join(folder, `${++files}-${name}`)
  const call = async (...words: readonly string[]) => {
    const { stdout } = await run('openssl', words, {
      cwd: folder,
      encoding: 'buffer',
      maxBuffer: 64 * 1024 * 1024,
    })
    return stdout
  }
  const write = (name: string, bytes: string | Uint8Array) => {
    const at = path(name)
    writeFileSync(at, bytes, { mode: 0o600 })
    return at
  }
  return Object.assign(call, { folder, path, write })
}

/** Runs something at a time at most as often as said: two cores do not serve forty programs better than four. */
export function atMost(width: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = width
  const waiting: (() => void)[] = []
  return async (work) => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve))
    else free--
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}

/** The text that a subcommand prints for a file. */
export async function textOf(openssl: OpenSsl, ...words: readonly string[]): Promise<string> {
  return (await openssl(...words)).toString('utf8')
}

export { readFile }
