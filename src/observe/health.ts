/** One thing that must hold for the gateway to take work. */
export interface HealthCheck {
  readonly name: string
  readonly ok: boolean
  /** For people; no secrets and no clinical content. */
  readonly detail?: string
}

export const healthLimits = {
  /** An orchestrator asks every few seconds and gives up after one; a check that hangs is a check that fails. */
  checkMs: 1_000,
}

type Answer = boolean | { readonly ok: boolean; readonly detail?: string }

export interface Health {
  /** Names a check. Asked at each readiness; what it throws is its detail. */
  add(name: string, check: () => Answer | Promise<Answer>): void
  /** Every check, in the order added, each within `checkMs`; `draining` first once drain() was called. */
  ready(): Promise<readonly HealthCheck[]>
  /** False once `failed` was called: only a new process can help. */
  live(): boolean
  /** From now on not ready, so that traffic goes elsewhere while what is under way ends. */
  drain(): void
  failed(): void
}

/** Liveness and readiness of the process. Readiness is asked for in full every time; nothing is remembered. */
export function openHealth(checkMs = healthLimits.checkMs): Health {
  const checks = new Map<string, () => Answer | Promise<Answer>>()
  let draining = false
  let alive = true
  return {
    add: (name, check) => void checks.set(name, check),
    async ready() {
      const answers = await Promise.all([...checks].map(([name, check]) => ask(name, check, checkMs)))
      return draining ? [{ name: 'draining', ok: false, detail: 'the gateway is shutting down' }, ...answers] : answers
    },
    live: () => alive,
    drain() {
      draining = true
    },
    failed() {
      alive = false
    },
  }
}

async function ask(name: string, check: () => Answer | Promise<Answer>, checkMs: number): Promise<HealthCheck> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Answer>((resolve) => {
    timer = setTimeout(() => resolve({ ok: false, detail: `no answer within ${checkMs} ms` }), checkMs)
  })
  try {
    const answer = await Promise.race([(async () => check())(), late])
    return typeof answer === 'boolean' ? { name, ok: answer } : { name, ...answer }
  } catch (error) {
    return { name, ok: false, detail: error instanceof Error ? error.message : String(error) }
  } finally {
    clearTimeout(timer)
  }
}
