import type { Fact } from './fact.js'

/**
 * Puts what people and applications wrote beside what documents told: each is an entry of its own, but for versions of an
 * entry and for what a person merged. Written statements meet no others by what they say: an entry that somebody corrected
 * stays that entry whatever it says now, and what was written twice was meant twice.
 */
export function joinWritten(
  told: readonly (readonly Fact[])[],
  written: readonly Fact[],
  together: readonly (readonly [string, string])[],
): readonly (readonly Fact[])[] {
  if (written.length === 0) return told
  const groupOf = new Map<string, Fact[]>()
  const groups = new Set<Fact[]>()
  for (const group of [...told, ...written.map((fact) => [fact])]) {
    const own = [...group]
    groups.add(own)
    for (const { id } of own) groupOf.set(id, own)
  }
  const join = (one: string, other: string) => {
    const [into, from] = [groupOf.get(one), groupOf.get(other)]
    if (!into || !from || into === from) return
    for (const fact of from) {
      into.push(fact)
      groupOf.set(fact.id, into)
    }
    groups.delete(from)
  }
  for (const { id, written: words } of written) if (words?.of !== undefined) join(words.of, id)
  const ours = new Set(written.map(({ id }) => id))
  for (const [one, other] of together) if (ours.has(one) || ours.has(other)) join(one, other)
  return [...groups]
}
