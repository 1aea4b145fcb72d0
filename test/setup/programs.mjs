/**
 * Finds the programs of others that tests, the demo and benches speak to, and installs Debian's where they are missing and
 * we may (root, apt-get). Plain Node, no packages. What stays missing is said, and never an error: the groups of tests that
 * need it are skipped by name.
 *
 *   node test/setup/programs.mjs openssl postgres …    one alone: prints where it stands
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const say = (text) => process.stderr.write(`ready: ${text}\n`)
const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
const runs = (program, args, stdio = ['ignore', 2, 2]) => spawnSync(program, args, { env, stdio }).status === 0
const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin']
const onPath = (name) => folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
const answers = (name, word) => (runs(name, [word], 'ignore') ? onPath(name) : undefined)

/** The folder of the newest PostgreSQL server programs, undefined where there are none. */
export function findPostgres() {
  const programs = ['initdb', 'pg_ctl', 'postgres', 'pg_basebackup']
  const root = '/usr/lib/postgresql'
  const debian = existsSync(root)
    ? readdirSync(root)
        .filter((version) => /^\d+$/.test(version))
        .sort((a, b) => Number(b) - Number(a))
        .map((version) => join(root, version, 'bin'))
    : []
  const other = onPath('postgres')
  return [...debian, ...(other ? [dirname(realpathSync(other))] : [])].find((folder) =>
    programs.every((program) => existsSync(join(folder, program))),
  )
}

/** Each program: how it is found, Debian's packages, what it is for, and what must be done before or between. */
const programs = {
  openssl: {
    find: () => answers('openssl', 'version'),
    packages: ['openssl'],
    why: 'the far side of the demo, and a judge of what we sign and encrypt',
  },
  postgres: {
    find: findPostgres,
    packages: ['postgresql'],
    why: 'tests and benches run against throw-away servers',
    // Debian would start a server of its own otherwise.
    prepare() {
      runs('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'postgresql-common'])
      const settings = '/etc/postgresql-common/createcluster.conf'
      runs('sed', ['-i', 's/^#\\?create_main_cluster.*/create_main_cluster = false/', settings])
    },
  },
  gcc: {
    find: () => answers('gcc', '--version'),
    packages: ['gcc', 'libc6-dev'],
    why: 'compiles the shim that stands for a power cut',
  },
  strace: {
    find: () => answers('strace', '-V'),
    packages: ['strace'],
    why: 'sees whether what is acknowledged was synced',
  },
  python3: {
    find: () => answers('python3', '--version'),
    packages: ['python3'],
    why: 'its mail and XML packages judge ours',
  },
  postfix: {
    find: () => onPath('smtp-source'),
    packages: ['postfix'],
    why: 'its smtp-source sends in benches, and its listener stands beside ours',
    prepare() {
      const answer = 'postfix postfix/main_mailer_type select No configuration\n'
      spawnSync('debconf-set-selections', { env, input: answer, stdio: ['pipe', 2, 2] })
    },
  },
}

/** Where a program stands, after installing it where root may; undefined where it is not to be had. */
export function ready(name) {
  const { find, packages, why, prepare } = programs[name]
  const found = find()
  if (found || process.getuid?.() !== 0 || !runs('apt-get', ['--version'], 'ignore')) return found
  say(`installing ${packages.join(', ')} by apt-get: ${why}`)
  runs('apt-get', ['update', '-qq'])
  prepare?.()
  runs('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages])
  return find()
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2)
  for (const name of names) {
    if (!(name in programs)) {
      say(`no program is called ${name}; there are ${Object.keys(programs).join(', ')}`)
      process.exitCode = 2
      continue
    }
    const found = ready(name)
    if (!found) say(`${name} was not found (${programs[name].why}): what needs it is skipped by name`)
    else if (names.length === 1) process.stdout.write(`${found}\n`)
  }
}
