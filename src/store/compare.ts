/**
 * Compares two well-formed strings as their UTF-8 bytes would compare. JavaScript compares UTF-16 units, which puts
 * characters beyond U+FFFF (surrogates, D800 to DFFF) before U+E000 to U+FFFF; UTF-8 puts them after.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
