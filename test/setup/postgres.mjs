/**
 * Finds the programs of a PostgreSQL server, and installs Debian's where they are missing and we may. Plain Node.
 *
 *   node test/setup/postgres.mjs    prints the folder of initdb, pg_ctl and postgres; code 1 where there are none
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const programs = ['initdb', 'pg_ctl', 'postgres', 'pg_basebackup']
const complete = (folder) => programs.every((program) => existsSync(join(folder, program)))

/** The folder of the newest server programs, undefined where there are none. */
export function findPostgres() {
  const root = '/usr/lib/postgresql'
  const debian = existsSync(root)
    ? readdirSync(root)
        .filter((version) => /^\d+$/.test(version))
        .sort((a, b) => Number(b) - Number(a))
        .map((version) => join(root, version, 'bin'))
    : []
  const onPath = (process.env.PATH ?? '')
    .split(':')
    .map((folder) => join(folder, 'postgres'))
    .filter((program) => existsSync(program))
    .map((program) => dirname(realpathSync(program)))
  return [...debian, ...onPath].find(complete)
}

/** The same, after installing them where root may. What apt-get says goes to stderr. */
export function readyPostgres() {
  const found = findPostgres()
  if (found || process.getuid?.() !== 0) return found
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...args) => spawnSync('apt-get', args, { env, stdio: ['ignore', 2, 2] })
  if (apt('--version').status !== 0) return undefined
  process.stderr.write('ready: installing a PostgreSQL server by apt-get: tests run against a throw-away one\n')
  // Debian would start a server of its own otherwise.
  apt('update', '-qq')
  apt('install', '-y', '-qq', '--no-install-recommends', 'postgresql-common')
  spawnSync('sed', [
    '-i',
    's/^#\\?create_main_cluster.*/create_main_cluster = false/',
    '/etc/postgresql-common/createcluster.conf',
  ])
  apt('install', '-y', '-qq', '--no-install-recommends', 'postgresql')
  return findPostgres()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = readyPostgres()
  if (found) process.stdout.write(`${found}\n`)
  else {
    process.stderr.write(
      'ready: no PostgreSQL server was found: the groups of test/interop that need it are skipped by name\n',
    )
    process.exitCode = 1
  }
}
