import { describe, expect, it } from 'vitest'
import { writeLetter } from '../../src/notices/letters/letter.js'
import type { Letter } from '../../src/ports/letters.js'

const url = 'https://gw.example/pickup'
const letters: readonly Letter[] = [
  { kind: 'confirm-email', url },
  { kind: 'confirm-change', url },
  { kind: 'account-exists', url },
  { kind: 'recovery', url },
  { kind: 'recovery', url, waitHours: 72 },
  { kind: 'account-changed', what: 'the password', url },
  { kind: 'invitation', from: 'Robin', message: 'for the school', url },
  { kind: 'connect-request', clinic: 'North Clinic', url, code: 'JKYZ-QNMN-VHRX-ZGNR-GZNH' },
  { kind: 'drop-off', clinic: 'North Clinic', url, code: 'JKYZ-QNMN-VHRX-ZGNR-GZNH' },
  { kind: 'held-message', url, code: 'JKYZ-QNMN-VHRX-ZGNR-GZNH' },
  { kind: 'new-message', url },
  { kind: 'access-granted', app: 'Steps', url },
  { kind: 'access-removed', app: 'Steps', url },
  { kind: 'review-needed', url },
  { kind: 'items-added', url },
]

describe.each(['en', 'es'])('in %s', (language) => {
  it.each(letters.map((letter) => [letter.kind, letter] as const))('writes %s as text and HTML', (_, letter) => {
    const written = writeLetter(letter, language, 'Message Center')
    expect(written.language).toBe(language)
    expect(written.subject).toMatch(/^[^\r\n]{8,80}$/)
    for (const body of [written.text, written.html]) {
      expect(body).toContain(url)
      if ('code' in letter) expect(body).toContain(letter.code)
      expect(body).not.toContain('undefined')
    }
    expect(written.html).toContain(`<html lang="${language}">`)
  })
})

it('falls back to English, and to the language without its region', () => {
  const languageOf = (wanted: string) => writeLetter({ kind: 'new-message', url }, wanted, 'x').language
  expect(['es-MX', 'ES', 'de', '', 'constructor', '__proto__'].map(languageOf)).toEqual([
    ...['es', 'es', 'en', 'en', 'en', 'en'],
  ])
})

it('puts names of others on one line and escapes them', () => {
  const app = 'A\r\nBcc: x@y.example\u202e<b onclick="x">&'
  const { subject, html, text } = writeLetter({ kind: 'access-granted', app, url }, 'en', 'S\r\nT')
  expect(subject).toBe('A Bcc: x@y.example <b onclick="x">& may now use your health record')
  expect(html).toContain('&#60;b onclick=&#34;x&#34;&#62;&#38;')
  expect(html).not.toContain('<b ')
  expect(text).toContain('S T sent this message')
})
