import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { until } from '../../fixtures/process.js'
import { ready } from '../../setup/programs.mjs'
import { readImap } from './imap.js'
import { freePort } from './ports.js'

/** A Dovecot in a folder of its own, on free ports of loopback, with the configuration that we ship. */
export interface Dovecot {
  /** In the clear; with STARTTLS too. */
  readonly lmtpPort: number
  readonly imapPort: number
  readonly imapsPort: number
  readonly popPort: number
  readonly popsPort: number
  /** PEM of the authority of its certificate (`localhost`, 127.0.0.1), as a file and as text. */
  readonly caPath: string
  readonly ca: string
  /** What `edge.dovecot.usersFile` is to name. */
  readonly usersFile: string
  /** Where mail lies: for looking whether it is readable. */
  readonly mailFolder: string
  /** What it logged so far. */
  said(): string
  /** Every message of the inbox that an account reads, oldest first. Rejects where it is not let in. */
  readMail(account: string, secret: string): Promise<readonly Buffer[]>
  /**
   * Waits until the accounts file tells of an account, or no more, and Dovecot has seen it, which looks at most once a second:
   * nobody who is refused meanwhile is made to wait.
   */
  knows(account: string, there?: boolean): Promise<void>
  /** Writes the accounts file itself, where no gateway does. */
  writeAccounts(accounts: readonly ReadingAccount[]): void
  stop(): Promise<void>
}

export interface ReadingAccount {
  readonly name: string
  readonly secret: string
  /** The address whose mail it reads. */
  readonly reads: string
}

const shipped = fileURLToPath(new URL('../../../config/dovecot', import.meta.url))
const running = new Set<Master>()
process.once('exit', () => {
  for (const master of running) master.kill()
})

/** Starts one, with further lines of configuration that win. Rejects with its words where it does not start. */
export async function startDovecot(more: readonly string[] = []): Promise<Dovecot> {
  const program = ready('dovecot')
  if (!program) throw new Error('dovecot is not installed')
  // Sockets have short names (108 bytes), and its processes, which are not root, must reach them: a folder of its own.
  const folder = mkdtempSync(join(tmpdir(), 'dove-'))
  chmodSync(folder, 0o755)
  const at = (...names: readonly string[]) => join(folder, ...names)
  const ports = { imap: 0, imaps: 0, pop3: 0, pop3s: 0, lmtp: 0 }
  for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort()
  furnish(at)
  writeFileSync(at('dovecot.conf'), configuration(at))
  writeFileSync(at('local.conf'), `${localConfiguration(at, ports)}${more.join('\n')}\n`)
  const master = startMaster(program, at('dovecot.conf'))
  const stop = async () => {
    await master.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    for (const port of Object.values(ports)) await listening(port, master)
  } catch (error) {
    const said = master.said()
    await stop()
    throw new Error(`dovecot does not start: ${said.trim().slice(-1_000)}`, { cause: error })
  }
  const ca = readFileSync(at('tls', 'chain.pem'), 'utf8')
  const usersFile = at('users.d', 'users')
  return {
    lmtpPort: ports.lmtp,
    imapPort: ports.imap,
    imapsPort: ports.imaps,
    popPort: ports.pop3,
    popsPort: ports.pop3s,
    caPath: at('tls', 'chain.pem'),
    ca,
    usersFile,
    mailFolder: at('mail'),
    said: master.said,
    readMail: (account, secret) => readImap(ports.imap, ca, account, secret),
    async knows(account, there = true) {
      const tells = () => existsSync(usersFile) && readFileSync(usersFile, 'utf8').includes(`${account}:{`)
      await until(() => (tells() === there ? true : undefined), 20_000)
      await sleep(1_100)
    },
    writeAccounts(accounts) {
      const lines = accounts.map(({ name, secret, reads }) => {
        const digest = createHash('sha256').update(secret).digest('hex')
        return `${name}:{SHA256.HEX}${digest}::::::user=${reads.replaceAll('%', '%%')}\n`
      })
      writeFileSync(usersFile, lines.join(''), { mode: 0o640 })
    },
    stop,
  }
}

type At = (...names: readonly string[]) => string

/** Root gives each part to the user it runs as; everybody else runs all of it as himself. */
const asRoot = process.getuid?.() === 0
const owner = asRoot ? { uid: 5000, gid: 5000 } : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }

function furnish(at: At): void {
  for (const name of ['run', 'tls', 'mail', 'users.d']) mkdirSync(at(name))
  if (asRoot) {
    chownSync(at('mail'), owner.uid, owner.gid)
    // What the gateway writes there belongs to the group that authenticates: docs/operating/imap-pop.md.
    const group = Number(spawnSync('getent', ['group', 'dovecot']).stdout.toString().split(':')[2])
    chownSync(at('users.d'), 0, group)
    chmodSync(at('users.d'), 0o2750)
  }
  const must = (command: string, words: readonly string[]) => {
    const { status, stderr } = spawnSync(command, words)
    if (status !== 0) throw new Error(`${command} ${words.join(' ')}: ${stderr}`)
  }
  must(join(shipped, 'make-keys.sh'), [at('keys')])
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  const words = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
  const files = ['-keyout', at('tls', 'key.pem'), '-out', at('tls', 'chain.pem')]
  must('openssl', ['req', ...words, ...files, '-subj', '/CN=localhost', '-addext', names])
}

/** The configuration that we ship, with its paths in the folder. Throws where it names one no more. */
function configuration(at: At): string {
  let text = readFileSync(join(shipped, 'dovecot.conf'), 'utf8')
  const places: readonly (readonly [string, string])[] = [
    ['/etc/dovecot/tls/', `${at('tls')}/`],
    ['/etc/dovecot/keys/', `${at('keys')}/`],
    ['/run/direct-gateway/dovecot/users', at('users.d', 'users')],
    ['home=/srv/mail/', `home=${at('mail')}/`],
    ['uid=vmail gid=vmail', `uid=${owner.uid} gid=${owner.gid}`],
  ]
  for (const [here, there] of places) {
    if (!text.includes(here)) throw new Error(`dovecot.conf does not name ${here}`)
    text = text.replaceAll(here, there)
  }
  return text
}

function localConfiguration(at: At, ports: Readonly<Record<'imap' | 'imaps' | 'pop3' | 'pop3s' | 'lmtp', number>>) {
  const service = (name: string, ...listeners: (keyof typeof ports)[]) => [
    `service ${name} {`,
    ...listeners.flatMap((listener) => [`  inet_listener ${listener} {`, `    port = ${ports[listener]}`, '  }']),
    '}',
  ]
  const user = spawnSync('id', ['-un']).stdout.toString().trim()
  const group = spawnSync('id', ['-gn']).stdout.toString().trim()
  const roots = ['anvil', 'imap-login', 'pop3-login']
  const unprivileged = [
    `default_internal_user = ${user}`,
    `default_internal_group = ${group}`,
    `default_login_user = ${user}`,
    ...roots.flatMap((name) => [`service ${name} {`, '  chroot =', '}']),
  ]
  return [
    `base_dir = ${at('run')}`,
    `state_dir = ${at('run')}`,
    'instance_name = test',
    'listen = 127.0.0.1',
    ...service('imap-login', 'imap', 'imaps'),
    ...service('pop3-login', 'pop3', 'pop3s'),
    ...service('lmtp', 'lmtp'),
    ...(asRoot ? [] : unprivileged),
    '',
  ].join('\n')
}

interface Master {
  said(): string
  over(): boolean
  kill(): void
  stop(): Promise<void>
}

function startMaster(program: string, file: string): Master {
  const child = spawn(program, ['-F', '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  let over = false
  const ended = new Promise<void>((resolve) => child.once('error', () => resolve()).once('close', () => resolve()))
  const master: Master = {
    said: () => said,
    over: () => over,
    // Its children end by themselves when it is gone.
    kill: () => void child.kill('SIGKILL'),
    async stop() {
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await ended
      clearTimeout(late)
    },
  }
  running.add(master)
  void ended.then(() => {
    over = true
    running.delete(master)
  })
  return master
}

async function listening(port: number, master: Master): Promise<void> {
  for (let tries = 0; tries < 200 && !master.over(); tries++) {
    const answered = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      const end = (answer: boolean) => {
        socket.destroy()
        resolve(answer)
      }
      socket.once('connect', () => end(true)).once('error', () => end(false))
    })
    if (answered) return
    await sleep(50)
  }
  throw new Error(`nobody listens on ${port}`)
}
