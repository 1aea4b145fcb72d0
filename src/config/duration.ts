const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

export const durationPattern = /^(\d{1,12}(?:\.\d{1,6})?)\s?(ms|s|m|h|d)$/

/** Reads `10s`, `1.5h`, `4d` as milliseconds; undefined for anything else. */
export function readDuration(text: string): number | undefined {
  const match = durationPattern.exec(text.trim())
  if (!match) return undefined
  const [, amount, unit] = match
  return Number(amount) * unitMs[unit as keyof typeof unitMs]
}

/** Milliseconds as people write them, in the largest unit without a fraction. */
export function writeDuration(ms: number): string {
  const [unit, size] = Object.entries(unitMs)
    .reverse()
    .find(([, size]) => ms >= size && ms % size === 0) ?? ['ms', 1]
  return `${ms / size}${unit}`
}
