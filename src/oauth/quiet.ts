/**
 * The authorization server's package writes one line to stderr as it is loaded by a Node older than it likes, where our log
 * has lines of JSON alone. What it does there is what our tests see; everything else that anybody warns of is let through.
 * Loaded before the package, wherever that is.
 */
const { warn } = console
console.warn = (...words: readonly unknown[]) => {
  if (words[0] !== undefined && /oidc-provider WARNING: Unsupported runtime/.test(String(words[0]))) return
  warn(...words)
}
