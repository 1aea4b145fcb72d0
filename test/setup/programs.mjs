/**
 * Finds the programs of others that tests, the demo and benches speak to, and installs Debian's where they are missing and
 * we may (root, apt-get). Plain Node, no packages. What stays missing is said, and never an error: the groups of tests that
 * need it are skipped by name.
 *
 *   node test/setup/programs.mjs openssl postgres …    one alone: prints where it stands
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
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

/** The PKCS#11 module of SoftHSM, where its `softhsm2-util` is there too. */
function findSoftHsm() {
  const homes = [process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu', '.']
  const modules = homes.map((home) => join('/usr/lib', home, 'softhsm', 'libsofthsm2.so'))
  return onPath('softhsm2-util') && modules.find((path) => existsSync(path))
}

/** The folder of NIST's path validation suite, with `certs` and `crls` in it, as a package of Python's brings it. */
function findPkits() {
  const found = '/usr/lib/python3/dist-packages/cryptography_vectors/x509/PKITS_data'
  return existsSync(join(found, 'certs')) && existsSync(join(found, 'crls')) ? found : undefined
}

/** The folder of Dovecot's own services, where those for IMAP, POP3 and LMTP are all there. */
function findDovecotParts() {
  const parts = ['imap', 'pop3', 'lmtp']
  const homes = ['/usr/lib/dovecot', '/usr/libexec/dovecot']
  return homes.find((home) => parts.every((part) => existsSync(join(home, part))))
}

/** Packages of others that nothing of the gateway uses, with a lockfile of their own. */
const clients = fileURLToPath(new URL('../clients', import.meta.url))

function findFhirClient() {
  const found = join(clients, 'node_modules', 'fhirclient')
  return existsSync(join(found, 'package.json')) ? found : undefined
}

/** Where the first of several programs stands, where all of them are there. */
const together = (...names) => (names.every((name) => onPath(name)) ? onPath(names[0]) : undefined)

/**
 * Each program: how it is found, Debian's packages or the folder in which npm installs it, what it is for, and what must be
 * done before or between.
 */
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
  bind: {
    find: () => onPath('named'),
    packages: ['bind9'],
    why: 'serves the zones of other gateways, and stands beside our name server',
  },
  dig: {
    find: () => onPath('dig'),
    packages: ['bind9-dnsutils'],
    why: 'asks our name server as a stranger does',
  },
  slapd: {
    find: () => together('slapd', 'slapadd', 'ldapsearch'),
    packages: ['slapd', 'ldap-utils'],
    why: 'serves the certificates of others over LDAP, and takes ours',
    prepare() {
      const answer = 'slapd slapd/no_configuration boolean true\n'
      spawnSync('debconf-set-selections', { env, input: answer, stdio: ['pipe', 2, 2] })
    },
  },
  softhsm: {
    find: findSoftHsm,
    packages: ['softhsm2'],
    why: 'stands for a hardware token that holds keys',
  },
  dovecot: {
    find: () => findDovecotParts() && together('dovecot', 'doveadm', 'doveconf'),
    packages: ['dovecot-imapd', 'dovecot-pop3d', 'dovecot-lmtpd'],
    why: 'serves IMAP and POP3 beside the gateway, and takes mail over LMTP',
  },
  swaks: {
    find: () => onPath('swaks'),
    packages: ['swaks', 'libnet-ssleay-perl'],
    why: 'submits mail over SMTP as a stranger to our code does',
  },
  fhirclient: {
    find: findFhirClient,
    packages: [],
    why: 'launches itself at our authorization server, and reads as an application of others does',
    npm: clients,
  },
  pkits: {
    find: findPkits,
    packages: ['python3-cryptography-vectors'],
    why: 'brings the path validation suite of NIST',
  },
}

/** Installs packages; Debian starts none of their services meanwhile, where nobody has said yet what may start. */
function install(packages) {
  const policy = '/usr/sbin/policy-rc.d'
  const ours = !existsSync(policy)
  try {
    if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
    runs('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages])
  } finally {
    if (ours) rmSync(policy, { force: true })
  }
}

/** Where a program stands, after installing it where root may; undefined where it is not to be had. */
export function ready(name) {
  const { find, packages, why, prepare, npm } = programs[name]
  const found = find()
  if (!found && npm) {
    say(`installing ${name} by npm in ${npm}: ${why}`)
    // None of their scripts run, and stdout stays ours.
    // Peers of theirs are for telephones.
    const less = ['--omit=optional', '--legacy-peer-deps', '--ignore-scripts', '--no-audit', '--no-fund']
    runs('npm', ['ci', ...less, '--prefix', npm])
    return find()
  }
  if (found || process.getuid?.() !== 0 || !runs('apt-get', ['--version'], 'ignore')) return found
  say(`installing ${packages.join(', ')} by apt-get: ${why}`)
  runs('apt-get', ['update', '-qq'])
  prepare?.()
  install(packages)
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
