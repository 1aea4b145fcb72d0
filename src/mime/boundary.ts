/** A multipart body cut at its delimiters; every piece is a view. */
export interface Pieces {
  readonly preamble: Buffer
  readonly parts: readonly Buffer[]
  /** What follows the line of the close delimiter. */
  readonly epilogue: Buffer
  /** The close delimiter was there. */
  readonly closed: boolean
  /** There are more parts than asked for; the rest was not looked at. */
  readonly more: boolean
}

/**
 * Cuts a multipart body at its boundary (RFC 2046 §5.1.1). The line break before a delimiter belongs to the delimiter.
 * A delimiter is a whole line: the boundary, optional transport padding, nothing else, so that a boundary which begins
 * another one never cuts it. Searches `--boundary` and looks back for the line break, which is many times faster than
 * searching for the line break too, because the search then has a rare byte to begin with.
 */
export function cutAtBoundary(body: Buffer, boundary: string, maxParts: number, lineBreaks: 'crlf' | 'any'): Pieces {
  const anyBreak = lineBreaks === 'any'
  const needle = Buffer.from(`--${boundary}`, 'latin1')
  const none = body.subarray(0, 0)
  const parts: Buffer[] = []
  let preamble = body
  let start = -1 // where the open part begins; before the first delimiter there is none
  for (let from = 0; ; ) {
    const at = body.indexOf(needle, from)
    if (at < 0) break
    const before = breakBefore(body, at, anyBreak)
    if (before < 0) {
      // A delimiter can only begin after a LF: go there at once, or a body of hyphens would be tried at every byte.
      const lf = body.indexOf(10, at)
      if (lf < 0) break
      from = lf + 1
      continue
    }
    const line = delimiterEnd(body, at + needle.length, anyBreak)
    from = line ? line.next : at + needle.length
    if (!line) continue
    const end = at - before
    if (start < 0) preamble = body.subarray(0, end)
    else parts.push(body.subarray(start, Math.max(start, end)))
    if (line.close)
      return {
        preamble,
        parts,
        epilogue: body.subarray(line.next),
        closed: true,
        more: false,
      }
    if (parts.length === maxParts) return { preamble, parts, epilogue: none, closed: false, more: true }
    start = line.next
  }
  if (start >= 0) parts.push(body.subarray(start))
  return { preamble, parts, epilogue: none, closed: false, more: false }
}

/** The length of the line break before `at`: 0 at the start of the body, -1 where there is none. */
function breakBefore(body: Buffer, at: number, anyBreak: boolean): number {
  if (at === 0) return 0
  if (body[at - 1] !== 10) return -1
  if (at > 1 && body[at - 2] === 13) return 2
  return anyBreak ? 1 : -1
}

/** Reads what follows the boundary on its line; undefined where the line goes on, so that it is no delimiter. */
function delimiterEnd(body: Buffer, after: number, anyBreak: boolean): { close: boolean; next: number } | undefined {
  let at = after
  const close = body[at] === 45 && body[at + 1] === 45
  if (close) at += 2
  while (body[at] === 32 || body[at] === 9) at += 1
  if (at === body.length) return { close, next: at }
  if (body[at] === 13 && body[at + 1] === 10) return { close, next: at + 2 }
  if (anyBreak && body[at] === 10) return { close, next: at + 1 }
  return undefined
}
