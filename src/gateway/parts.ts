import { readFileSync } from 'node:fs'
import type { Config } from '../config/settings.js'
import { clock, type House } from '../house.js'
import type { MasterKey } from '../keyring/master-key.js'
import type { openHealth } from '../observe/health.js'
import type { openMetrics } from '../observe/metrics.js'
import type { Log } from '../ports/observe.js'
import { StoreFailed } from '../ports/store.js'

/** Ends one part within its grace. */
export type Closer = (graceMs: number) => unknown

/** What every part of the running gateway is given. */
export interface Parts {
  readonly house: House
  readonly config: Config
  readonly masterKey: MasterKey
  readonly log: Log
  readonly metrics: ReturnType<typeof openMetrics>
  readonly health: ReturnType<typeof openHealth>
  /** Whether the next message fits. */
  readonly room: () => Promise<boolean>
  /** Run in reverse order when the gateway ends. */
  readonly closers: Closer[]
}

/** Why the gateway does not start, in one line for the operator. */
export class CannotStart extends Error {
  override readonly name = 'CannotStart'
  /** It may pass by itself: another process ends, an interface comes up. */
  readonly passing: boolean

  constructor(message: string, passing = false) {
    super(message)
    this.passing = passing
  }
}

/** Why a listener has no port, in words. */
const listenFaults: Readonly<Record<string, { readonly words: string; readonly passing: boolean }>> = {
  EADDRINUSE: { words: 'another program has that port', passing: true },
  EADDRNOTAVAIL: { words: 'this machine has no such address', passing: true },
  EACCES: { words: 'this user may not have it; take a port above 1023 and forward to it', passing: false },
  ENOTFOUND: { words: 'no such host', passing: false },
}

/** Opens a listener; throws CannotStart, in words that name the settings, where its port is not to be had. */
export async function listening<T>(
  section: string,
  { host, port }: { readonly host: string; readonly port: number },
  listen: () => Promise<T>,
): Promise<T> {
  try {
    return await listen()
  } catch (error) {
    const fault = listenFaults[codeOf(error)]
    const words = fault?.words ?? (error instanceof Error ? error.message : String(error))
    const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    throw new CannotStart(`cannot listen on ${place} (${section}.host, ${section}.port): ${words}`, fault?.passing)
  }
}

export type ServerCertificate = { readonly cert: string; readonly key: string }

/** The certificate as its files are now, so that a renewed one needs no restart. */
export function certificateOf({ certificateFile, keyFile }: Config['smtp']['tls']): ServerCertificate | undefined {
  if (!certificateFile || !keyFile) return undefined
  return { cert: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
}

/** What the file that a setting names holds; throws CannotStart, in words that name the setting. */
export function textOf(file: string, setting: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new CannotStart(`${setting} cannot be read: ${codeOf(error)}`)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** An error in words for the log: never what it was about. */
export function causeOf(error: unknown): string {
  return error instanceof StoreFailed
    ? error.message
    : error instanceof Error
      ? `${error.name}: ${error.message}`
      : 'unknown'
}

/** Does something again and again until the gateway ends; what it throws is logged as `failed`. */
export function every(
  { log, closers }: Pick<Parts, 'log' | 'closers'>,
  ms: number,
  failed: string,
  work: () => Promise<unknown>,
): void {
  const timer = setInterval(() => void work().catch((error) => log.error(failed, { cause: causeOf(error) })), ms)
  closers.push(() => clearInterval(timer))
}

/** Raises an alarm: in the log and in the audit trail, for whoever looks after the gateway. */
export function alarm(
  { house, log }: Pick<Parts, 'house' | 'log'>,
  reason: string,
  subject: Readonly<Record<string, string>>,
  detail: string,
): void {
  log.error('alarm', { reason, ...subject, detail })
  const entry = { at: clock.now(), action: 'alarm', actor: 'system', subject, outcome: 'failed' as const, reason }
  house.store.commit({ append: [house.audit.entry(entry)] }).catch((error: unknown) => {
    log.error('alarm.not-kept', { cause: causeOf(error) })
  })
}
