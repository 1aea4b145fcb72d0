/** What windows-1252 has at 0x80 to 0x9f, where latin-1 has control characters; its five gaps stay as they are. */
const upper = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ'

/** Decodes windows-1252, by hand: the TextDecoder of several Node releases reads it as latin-1. Every byte is a character. */
export function decodeWindows1252(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  return text.replace(/[\u0080-\u009f]/g, (one) => upper.charAt(one.charCodeAt(0) - 0x80))
}
