import { describe, expect, it } from 'vitest'
import { decodeWindows1252 } from '../../src/direct/windows1252.js'
import { decodeCharset } from '../../src/mime/parameters.js'

describe('windows-1252', () => {
  it('has quotation marks, the euro sign and a dash where latin-1 has control characters', () => {
    expect(decodeWindows1252(Uint8Array.of(0x93, 0x41, 0x94, 0x80, 0x96, 0xe9))).toBe('“A”€–é')
  })

  it('is what mail calls latin-1 and windows-1252', () => {
    expect(decodeCharset(Uint8Array.of(0x93, 0x41, 0x94), 'windows-1252')).toBe('“A”')
    expect(decodeCharset(Uint8Array.of(0x93, 0x41, 0x94), 'iso-8859-1')).toBe('“A”')
  })
})
