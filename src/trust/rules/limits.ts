/** What one rule may cost. Operators write rules, strangers the certificates that they are evaluated on. */
export const ruleLimits = {
  /** Characters of a rule; the interoperability policy of DirectTrust has some 700. */
  characters: 4_000,
  /** Parentheses and negations inside one another. */
  depth: 32,
  /** Clauses, and what joins them. */
  nodes: 200,
  /** Values of one list, and characters of one value. */
  values: 100,
  valueCharacters: 500,
  /** States of one compiled pattern; repetitions are written out, so that `{100}` counts as a hundred. */
  patternStates: 1_000,
  /** Levels of groups in a pattern. */
  patternDepth: 16,
  /** Characters of a certificate's value that a pattern is tried on; a URL beyond that is none. */
  matchedCharacters: 2_000,
  /** Steps of all patterns of one evaluation, 30 to 80 ns each: 15 ms in the worst case. Honest rules take some thousands. */
  matchSteps: 200_000,
  /** Rules remembered by their text; about 10 KB each. */
  remembered: 500,
}

export type RuleLimits = typeof ruleLimits
