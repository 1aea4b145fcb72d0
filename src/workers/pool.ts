import { availableParallelism } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { Piscina } from 'piscina'
import { StepFailed, StepNotBegun } from '../pipeline/steps.js'
import { newShared } from '../pkcs11/shared.js'
import type { Log } from '../ports/observe.js'
import type { ThreadSteps } from './steps.js'
import type { ThreadData } from './thread.js'

export interface PoolOptions {
  /** 32 bytes; handed to the threads, which alone unwrap private keys with it. */
  readonly masterKey: Uint8Array
  /** Threads at most; one per core by default, since the arithmetic fills a core. One is always there. */
  readonly threads?: number
  /** One step may take this long, from when it begins, before its thread is ended; a 60 MiB message takes under 1 s. */
  readonly stepTimeoutMs?: number
  /** Heap of one thread. */
  readonly heapMiB?: number
  /** Steps that may wait for a thread. */
  readonly waiting?: number
  /** The PKCS#11 module with keys of ours, and the file with its PIN. */
  readonly tokens?: { readonly module: string; readonly pinFile: string }
  /** Told of what goes wrong in a thread while it has no step to fail. */
  readonly log?: Log
}

export const poolLimits = {
  stepTimeoutMs: 60_000,
  /** Heap of one thread: the largest message is held outside it, and a record of 20,000 items stays far below. */
  heapMiB: 512,
  /** Steps handed to a thread at once: it finds the next without being woken, which costs more than a small step. */
  perThread: 2,
  /** Steps that wait for a thread; the queue runner keeps fewer in flight. */
  waiting: 1_000,
  /** A thread beyond the first that has had nothing to do for so long ends: each holds over 20 MB and the keys it unwrapped. */
  idleMs: 60_000,
  /** Steps under way may take this long when the pool closes; the queue runner has had its grace before. */
  closeMs: 5_000,
}

export interface Pool extends ThreadSteps {
  /** Begins nothing more (StepNotBegun), and ends the threads once their steps have ended, or soon. */
  close(): Promise<void>
}

/** A PKCS#11 module knows the process, not its pools. */
const sharedByAll = newShared()

/**
 * Starts the worker threads that open, read and seal mail, make keys and sign certificates. A thread that dies takes its step with it (StepFailed), and
 * only that one, and is replaced. A step that finds too many before it is not begun (StepNotBegun).
 */
export function startPool({
  masterKey,
  threads = availableParallelism(),
  stepTimeoutMs = poolLimits.stepTimeoutMs,
  heapMiB = poolLimits.heapMiB,
  waiting = poolLimits.waiting,
  tokens,
  log,
}: PoolOptions): Pool {
  const pool = new Piscina({
    filename: new URL('./thread.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: threads,
    idleTimeout: poolLimits.idleMs,
    workerData: { masterKey, ...(tokens && { tokens: { ...tokens, shared: sharedByAll } }) } satisfies ThreadData,
    resourceLimits: { maxOldGenerationSizeMb: heapMiB },
    env: {},
  })
  // A thread may fail after its step has answered; without a listener that would end the process.
  pool.on('error', (error: unknown) => log?.error('worker.failed', { cause: String(error) }))
  const turns = openTurns(threads, waiting)

  async function run<Name extends keyof ThreadSteps>(
    name: Name,
    ...task: Parameters<ThreadSteps[Name]>
  ): Promise<Awaited<ReturnType<ThreadSteps[Name]>>> {
    if (!(await turns.take())) throw new StepNotBegun(name)
    const signal = AbortSignal.timeout(stepTimeoutMs)
    try {
      return await pool.run(task, { name, signal })
    } catch (error) {
      if (turns.closed()) throw new StepNotBegun(name)
      throw new StepFailed(`${name}: ${signal.aborted ? `no answer within ${stepTimeoutMs} ms` : causeOf(error)}`)
    } finally {
      turns.pass()
    }
  }

  return {
    open: (...task) => run('open', ...task),
    read: (...task) => run('read', ...task),
    view: (...task) => run('view', ...task),
    write: (...task) => run('write', ...task),
    seal: (...task) => run('seal', ...task),
    newKey: (...task) => run('newKey', ...task),
    signData: (...task) => run('signData', ...task),
    bindKey: (...task) => run('bindKey', ...task),
    checkToken: (...task) => run('checkToken', ...task),
    tokenPublicKey: (...task) => run('tokenPublicKey', ...task),
    async close() {
      const late = new AbortController()
      await Promise.race([turns.close(), setTimeout(poolLimits.closeMs, undefined, { signal: late.signal })])
      late.abort()
      await pool.destroy()
    },
  }
}

/** Lets `threads` steps run at once and up to `waiting` wait, so that the time of a step begins with the step. */
function openTurns(threads: number, waiting: number) {
  const line: ((mine: boolean) => void)[] = []
  let running = 0
  let idle: (() => void) | undefined
  let isClosed = false
  return {
    closed: () => isClosed,
    /** True when it is the caller's turn; false where the line is too long, or the pool closes. */
    async take(): Promise<boolean> {
      if (isClosed || (running >= threads && line.length >= waiting)) return false
      if (running >= threads) return new Promise((resolve) => line.push(resolve))
      running++
      return true
    },
    /** Ends the caller's turn: the next in line has it. */
    pass(): void {
      const next = line.shift()
      if (next) next(true)
      else running--
      if (running === 0) idle?.()
    },
    /** Sends the line away, and resolves when no step runs. */
    close(): Promise<void> {
      isClosed = true
      for (const next of line.splice(0)) next(false)
      return new Promise((resolve) => {
        idle = resolve
        if (running === 0) resolve()
      })
    },
  }
}

function causeOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown'
}
