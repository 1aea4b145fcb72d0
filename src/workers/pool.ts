import { availableParallelism } from 'node:os'
import { Piscina } from 'piscina'
import { StepFailed, type Steps } from '../pipeline/steps.js'
import type { ThreadData } from './thread.js'

export interface PoolOptions {
  /** 32 bytes; handed to the threads, which alone unwrap private keys with it. */
  readonly masterKey: Uint8Array
  /** Threads; one per core by default, since the arithmetic fills a core. */
  readonly threads?: number
  /** One step may take this long before its thread is ended; a 60 MiB message takes under 1 s. */
  readonly stepTimeoutMs?: number
  /** Heap of one thread. */
  readonly heapMiB?: number
}

export const poolLimits = {
  stepTimeoutMs: 60_000,
  /** Heap of one thread: the largest message is held outside it, and a record of 20,000 items stays far below. */
  heapMiB: 512,
  /** Steps that wait for a thread; the queue runner keeps fewer in flight. */
  waiting: 1_000,
}

export interface Pool extends Steps {
  close(): Promise<void>
}

/** Starts the worker threads that open, read and seal mail. A thread that dies takes its step with it (StepFailed) and is replaced. */
export function startPool({
  masterKey,
  threads = availableParallelism(),
  stepTimeoutMs = poolLimits.stepTimeoutMs,
  heapMiB = poolLimits.heapMiB,
}: PoolOptions): Pool {
  const pool = new Piscina({
    filename: new URL('./thread.js', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    maxQueue: poolLimits.waiting,
    workerData: { masterKey } satisfies ThreadData,
    resourceLimits: { maxOldGenerationSizeMb: heapMiB },
    env: {},
  })

  async function run<Name extends keyof Steps>(
    name: Name,
    ...task: Parameters<Steps[Name]>
  ): Promise<Awaited<ReturnType<Steps[Name]>>> {
    const signal = AbortSignal.timeout(stepTimeoutMs)
    try {
      return await pool.run(task, { name, signal })
    } catch (error) {
      const cause = signal.aborted
        ? `no answer within ${stepTimeoutMs} ms`
        : error instanceof Error
          ? error.message
          : 'unknown'
      throw new StepFailed(`${name}: ${cause}`)
    }
  }

  return {
    open: (...task) => run('open', ...task),
    read: (...task) => run('read', ...task),
    seal: (...task) => run('seal', ...task),
    close: () => pool.close(),
  }
}
