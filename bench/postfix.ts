import { spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

/** An instance of Postfix of our own that accepts mail from this machine, syncs it and holds it in its queue. */
export interface Postfix {
  readonly port: number
  /** Lets go of all that it holds; it then goes where `relayPort` says. */
  release(): void
  /** How many messages are in its queue, those it holds included. */
  queued(): number
  stop(): void
}

export interface PostfixOptions {
  /** Where mail that is let go is sent: a port of this machine. */
  readonly relayPort?: number
  /** Connections to it at once. */
  readonly relayConnections?: number
  /** Below which folder its own is made; a temporary one may be memory. */
  readonly root?: string
}

const works = (program: string, ...args: string[]) => spawnSync(program, args, { stdio: 'ignore' }).status === 0

/** Starts it; undefined where it is not installed, or where this user may not start it. */
export async function startPostfix(options: PostfixOptions = {}): Promise<Postfix | undefined> {
  if (process.getuid?.() !== 0 || !works('/usr/sbin/postconf', '-d', 'mail_version')) return undefined
  const folder = mkdtempSync(join(options.root ?? tmpdir(), 'bench-postfix-'))
  const port = await freePort()
  for (const name of ['etc', 'queue', 'data']) mkdirSync(join(folder, name))
  const uid = Number(spawnSync('id', ['-u', 'postfix'], { encoding: 'utf8' }).stdout)
  chownSync(join(folder, 'data'), uid, 0)
  spawnSync('chmod', ['755', folder])
  writeFileSync(join(folder, 'etc/main.cf'), mainOf(folder, options))
  writeFileSync(join(folder, 'etc/master.cf'), masterOf(port))
  writeFileSync(join(folder, 'etc/dynamicmaps.cf'), '')
  if (!works('/usr/sbin/postfix', '-c', join(folder, 'etc'), 'start')) {
    rmSync(folder, { recursive: true })
    return undefined
  }
  const queue = join(folder, 'queue')
  return {
    port,
    release() {
      works('/usr/sbin/postsuper', '-c', join(folder, 'etc'), '-H', 'ALL')
      works('/usr/sbin/postqueue', '-c', join(folder, 'etc'), '-f')
    },
    queued: () =>
      ['maildrop', 'hold', 'incoming', 'active', 'deferred'].reduce((sum, name) => sum + filesIn(join(queue, name)), 0),
    stop() {
      works('/usr/sbin/postfix', '-c', join(folder, 'etc'), 'stop')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Files of a queue, which may lie in folders of their first letters. */
function filesIn(folder: string): number {
  const entries = existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : []
  return entries.reduce((sum, entry) => sum + (entry.isDirectory() ? filesIn(join(folder, entry.name)) : 1), 0)
}

function mainOf(folder: string, { relayPort, relayConnections = 20 }: PostfixOptions): string {
  const relay =
    relayPort === undefined
      ? ''
      : `relayhost = [127.0.0.1]:${relayPort}
default_destination_concurrency_limit = ${relayConnections}
initial_destination_concurrency = ${relayConnections}
smtp_tls_security_level = none
`
  return `compatibility_level = 3.6
queue_directory = ${folder}/queue
data_directory = ${folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.example
mydestination = ${relayPort === undefined ? 'served.example' : ''}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
smtpd_recipient_restrictions = check_recipient_access static:HOLD, permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
maillog_file = ${folder}/mail.log
maillog_file_prefixes = ${folder}
${relay}`
}

function masterOf(port: number): string {
  return `127.0.0.1:${port} inet n - n - 100 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
smtp unix - - n - 100 smtp
relay unix - - n - 100 smtp
scache unix - - n - 1 scache
retry unix - - n - - error
error unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
`
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
