import { open, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log, Metrics } from '../ports/observe.js'

export const dovecotPublishingLimits = {
  /** Between two rounds: how long an account that was disabled may still log in. A round reads the accounts and one file. */
  everyMs: 3_000,
  /** Lines of the file, some 150 bytes each: Dovecot reads the whole of it when it changed. */
  accounts: 100_000,
  /** Octets of a line: Dovecot refuses more than 8192 in all; names and addresses are far shorter. */
  lineBytes: 1_024,
}

export type DovecotPublishingLimits = typeof dovecotPublishingLimits

/** An account that may read mail: what Dovecot has to know of it, and nothing else. */
export interface ReadingAccount {
  /** What it says as its user name. */
  readonly name: string
  /** The address whose mailbox it reads. */
  readonly reads: string
  /** Of its secret, 64 hex digits. The secret has 256 random bits, so that no salt is needed. */
  readonly sha256: string
}

export interface DovecotPublishingOptions {
  /** The passwd-file that Dovecot reads; its folder must be there. */
  readonly usersFile: string
  /** Every live account that reads an address, in one order always. */
  readonly accounts: () => Promise<readonly ReadingAccount[]>
  readonly log: Log
  readonly metrics: Metrics
  /** Hears of each round: for health and alarms. */
  readonly onReport?: (report: DovecotReport) => void
  readonly limits?: Partial<DovecotPublishingLimits>
}

export type DovecotReport =
  | {
      readonly kind: 'synced'
      /** Lines in the file now. */
      readonly accounts: number
      /** Whether it was written in this round. */
      readonly written: boolean
      /** Names of accounts that no line can tell, or for which there was no room. */
      readonly left: readonly string[]
    }
  | { readonly kind: 'failed'; readonly detail: string }

export interface DovecotPublishing {
  /** A round now, after the one under way. Never throws: a disk that fails is an answer. */
  sync(): Promise<DovecotReport>
  /** Ends after the round under way. The file stays as it is. */
  close(): Promise<void>
}

/**
 * Keeps the accounts file of a Dovecot beside the gateway in step with our accounts: one line for each account that reads an
 * address, `name:{SHA256.HEX}sha256::::::user=address`. It is replaced as a whole (0640), so that Dovecot never sees a half,
 * and only when it would change. Where the accounts cannot be read it stays as it was.
 */
export function startDovecotPublishing(options: DovecotPublishingOptions): DovecotPublishing {
  const { usersFile, accounts, log, metrics, onReport } = options
  const limits = { ...dovecotPublishingLimits, ...options.limits }
  const closed = new AbortController()
  let last: Promise<unknown> = Promise.resolve()

  async function round(): Promise<DovecotReport> {
    const report = await once(usersFile, accounts, limits)
    if (report.kind === 'failed') {
      metrics.count('dovecot_publishing_failures_total')
      log.warn('dovecot.publishing-failed', { reason: report.detail })
    } else {
      metrics.gauge('dovecot_published_accounts', report.accounts)
      if (report.written) log.info('dovecot.published', { accounts: report.accounts, left: report.left.length })
    }
    onReport?.(report)
    return report
  }

  // One after the other: whoever asks after a change gets a round that began after it.
  function sync(): Promise<DovecotReport> {
    const next = last.then(round)
    last = next
    return next
  }

  async function go(): Promise<void> {
    while (!closed.signal.aborted) {
      await sync()
      await sleep(limits.everyMs, undefined, { signal: closed.signal, ref: false }).catch(() => undefined)
    }
  }

  const ended = go()
  return {
    sync,
    async close() {
      closed.abort()
      await Promise.all([ended, last])
    },
  }
}

async function once(
  usersFile: string,
  accounts: DovecotPublishingOptions['accounts'],
  limits: DovecotPublishingLimits,
): Promise<DovecotReport> {
  try {
    const { text, count, left } = linesOf(await accounts(), limits)
    const written = (await currentText(usersFile)) !== text
    if (written) await replace(usersFile, text)
    return { kind: 'synced', accounts: count, written, left }
  } catch (error) {
    return { kind: 'failed', detail: String(error) }
  }
}

/** The lines of the file. An account that could be read as another, or as two, is left out: the rest still gets its mail. */
function linesOf(accounts: readonly ReadingAccount[], limits: DovecotPublishingLimits) {
  const lines = new Map<string, string>()
  const left: string[] = []
  for (const account of accounts) {
    const line = lineOf(account)
    const room = lines.size < limits.accounts && line !== undefined && line.length <= limits.lineBytes
    const key = account.name.toLowerCase()
    if (room && !lines.has(key)) lines.set(key, line)
    else left.push(account.name)
  }
  return { text: [...lines.values()].join(''), count: lines.size, left }
}

/** Without the colon and blanks that end a field, and what would make a comment or another line. */
const name = /^[a-z0-9][a-z0-9._@+-]*$/i
const hex = /^[0-9a-f]{64}$/
const address = /^[!#$%&'*+=?^_`{|}~.@a-z0-9-]+$/i

/** One line of a passwd-file; undefined for what does not go into one. Dovecot expands `%` in the fields at the end. */
function lineOf(account: ReadingAccount): string | undefined {
  if (!name.test(account.name) || !hex.test(account.sha256) || !address.test(account.reads)) return undefined
  return `${account.name.toLowerCase()}:{SHA256.HEX}${account.sha256}::::::user=${account.reads.replaceAll('%', '%%')}\n`
}

/** Undefined where the file is not there, so that an empty one is made. */
async function currentText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Replaces a file as a whole, durably; who may read it besides us is the group's, which the folder gives (setgid). */
async function replace(file: string, text: string): Promise<void> {
  // One name, so that what a crash left is written over.
  const half = join(dirname(file), `.${basename(file)}.new`)
  try {
    const handle = await open(half, 'w', 0o600)
    try {
      await handle.writeFile(text)
      // Whatever our umask is.
      await handle.chmod(0o640)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(half, file)
  } catch (error) {
    await rm(half, { force: true })
    throw error
  }
  const folder = await open(dirname(file), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
