import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const script = fileURLToPath(new URL('./ready.mjs', import.meta.url))
const locked = {
  '': { name: 'house' },
  'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
  'node_modules/b-other-platform': { version: '1.0.0', integrity: 'sha512-b', optional: true },
}

let root: string
const put = (file: string, value: unknown) =>
  writeFileSync(join(root, file), typeof value === 'string' ? value : JSON.stringify(value))

/** Runs the script on the small house; `npm` is a script that notes what it was asked to do. */
function ready(...args: string[]) {
  const env = { ...process.env, READY_ROOT: root, npm_execpath: join(root, 'npm.mjs') }
  const { status, stderr } = spawnSync(process.execPath, [script, ...args], { env, encoding: 'utf8' })
  return { status, stderr, npm: readFileSync(join(root, 'asked'), 'utf8') }
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'dg-ready-'))
  mkdirSync(join(root, 'node_modules'))
  put('package.json', { engines: { node: '>=20.19' } })
  put('package-lock.json', { packages: locked })
  put('node_modules/.package-lock.json', { packages: { 'node_modules/a': locked['node_modules/a'] } })
  put('asked', '')
  put(
    'npm.mjs',
    `import { writeFileSync } from 'node:fs'\nwriteFileSync('asked', process.argv.slice(2).join(' '))\nprocess.exitCode = Number(process.env.NPM_EXIT ?? 0)\n`,
  )
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('making a clone ready', () => {
  it('installs nothing where the packages are those of the lockfile', () => {
    expect(ready()).toEqual({ status: 0, stderr: '', npm: '' })
    expect(readFileSync(join(root, 'node_modules/.ready'), 'utf8')).toMatch(/^[0-9a-f]{64}$/)
    expect(ready().status).toBe(0)
  })

  it('installs where a package is missing, another version, changed or too many', () => {
    for (const packages of [
      {},
      { 'node_modules/a': { version: '1.0.1', integrity: 'sha512-a' } },
      { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-x' } },
      { 'node_modules/a': locked['node_modules/a'], 'node_modules/c': { version: '1.0.0', integrity: 'sha512-c' } },
    ]) {
      put('node_modules/.package-lock.json', { packages })
      rmSync(join(root, 'node_modules/.ready'), { force: true })
      expect(ready().npm, JSON.stringify(packages)).toMatch(/^ci --include=dev/)
    }
  })

  it('installs again when the lockfile changed', () => {
    expect(ready().npm).toBe('')
    put('package-lock.json', { packages: { ...locked, 'node_modules/d': { version: '2.0.0', integrity: 'sha512-d' } } })
    expect(ready().npm).toMatch(/^ci /)
  })

  it('says so when npm fails, and when Node is too old', () => {
    put('node_modules/.package-lock.json', { packages: {} })
    put('npm.mjs', 'process.exitCode = 1')
    expect(ready()).toMatchObject({ status: 1, stderr: expect.stringContaining('npm ci failed with code 1') })
    put('package.json', { engines: { node: '>=99.0' } })
    expect(ready()).toMatchObject({ status: 1, stderr: expect.stringContaining('Node >=99.0 is needed') })
  })

  it('takes over the lock of a process that died', () => {
    mkdirSync(join(root, 'scratch/ready.lock'), { recursive: true })
    put('scratch/ready.lock/pid', '999999999')
    expect(ready().status).toBe(0)
  })
})
