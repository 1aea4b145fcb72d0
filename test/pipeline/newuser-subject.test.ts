import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { encodeWords } from '../../src/mime/words.js'
import { isForNewcomer, readNewcomerSubject, tellsAnswer } from '../../src/pipeline/newuser-subject.js'

describe('the Subject of mail to a newcomer', () => {
  it.each([
    ['u@x.example', { email: 'u@x.example', subject: '' }],
    ['u@x.example;Your results', { email: 'u@x.example', subject: 'Your results' }],
    [
      'u@x.example;Which pet?;Parakeet',
      { email: 'u@x.example', question: 'Which pet?', answer: 'Parakeet', subject: '' },
    ],
    [
      'u@x.example; Which pet? ;Parakeet;You have mail',
      { email: 'u@x.example', question: 'Which pet?', answer: 'Parakeet', subject: 'You have mail' },
    ],
    [
      'u@x.example;q;aaaaaa;one; two;three',
      { email: 'u@x.example', question: 'q', answer: 'aaaaaa', subject: 'one; two;three' },
    ],
    ['u@x.example;q;aaaaaa;', { email: 'u@x.example', question: 'q', answer: 'aaaaaa', subject: '' }],
  ])('%s is read by the number of its fields', (text, expected) => {
    expect(readNewcomerSubject(text)).toEqual({ kind: 'newcomer', ...expected })
  })

  it.each([
    '',
    'Your results',
    'Your results;u@x.example',
    'u@x',
    '<u@x.example>',
    'u@x.example, v@x.example',
    'u@x.example\r\nBcc: v@x.example',
    '"u;v"@x.example',
    '.u@x.example',
    'u.@x.example',
    'u..v@x.example',
    'u@-x.example',
    `${'u'.repeat(65)}@x.example`,
    `u@${'x'.repeat(60)}.${'x.'.repeat(100)}example`,
    'u@x.example;;answer',
    'u@x.example;question;',
    `u@x.example;${'q'.repeat(256)};answer`,
    `u@x.example;q;${'a'.repeat(256)}`,
  ])('%s is not read', (text) => {
    expect(readNewcomerSubject(text).kind).toBe('unreadable')
  })

  it('gives back what was put into it, whatever the question and however many semicolons the subject has', () => {
    const text = fc.stringMatching(/^[^;\s][^;]{0,40}$/u).filter((one) => one.trim() !== '')
    fc.assert(
      fc.property(text, text, fc.string({ maxLength: 60 }), (question, answer, subject) => {
        const read = readNewcomerSubject(`u@x.example;${question};${answer};${subject}`)
        expect(read).toEqual({
          ...{ kind: 'newcomer', email: 'u@x.example', subject: subject.trim() },
          ...{ question: question.trim(), answer: answer.trim() },
        })
      }),
      { numRuns: 2000 },
    )
  })

  it('never throws, and never takes an address that could end a line or hold a second one', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 120 }), (noise) => {
        for (const text of [noise, `u@x.example${noise}`, `u@x.example;${noise}`]) {
          const read = readNewcomerSubject(text)
          if (read.kind === 'newcomer') expect(read.email).toMatch(/^[^\s,;:<>()"\\@\p{Cc}]+@[^\s,;:<>()"\\@\p{Cc}]+$/u)
        }
      }),
      { numRuns: 3000 },
    )
  })
})

describe('a header in the clear', () => {
  const secret = 'u@x.example;Which pet?;Parakeet'
  it.each([
    [`Subject: ${secret}`],
    [`sUBJECT : ${secret}`],
    [`Subject: u@x.example;\r\n Which pet?;\r\n\tParakeet`],
    [`Subject: =?utf-8?B?${Buffer.from(secret).toString('base64')}?=`],
    [`Subject: =?utf-8?Q?u=40x=2Eexample=3BWhich?= =?utf-8?Q?=3BParakeet?=`],
    [`Subject: Encrypted\r\nFrom: <a@b.example>\r\nSubject: ${secret}`],
    [`Subject: ;;`],
  ])('tells the answer: %s', (header) => {
    expect(tellsAnswer(`From: <a@b.example>\r\n${header}\r\nTo: <newuser@x.example>\r\n`)).toBe(true)
  })

  it.each([
    'Subject: Encrypted message',
    'Subject: u@x.example;Your results',
    'X-Subject: a;b;c',
    'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m',
    '',
  ])('tells nothing: %s', (header) => {
    expect(tellsAnswer(`${header}\r\n`)).toBe(false)
  })

  it('tells the answer however a Subject with one is encoded and folded', () => {
    const word = fc.stringMatching(/^[\p{L}\p{N} ?]{1,40}$/u)
    fc.assert(
      fc.property(word, word, (question, answer) => {
        const encoded = encodeWords(`u@x.example;${question};${answer}`).replace(/ /g, '\r\n ')
        expect(tellsAnswer(Buffer.from(`Subject: ${encoded}\r\n`).toString('latin1'))).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })
})

it('knows the address of newcomers in any domain, and none that looks like it', () => {
  expect(isForNewcomer('newuser@a.example' as DirectAddress)).toBe(true)
  for (const other of ['newuser+x@a.example', 'newusers@a.example', 'a@newuser.example'])
    expect(isForNewcomer(other as DirectAddress)).toBe(false)
})
