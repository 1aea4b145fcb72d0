import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { splitSigned, toCanonicalLines } from '../../src/mime/signed.js'
import { unwrapMessage } from '../../src/mime/unwrap.js'

const crlf = (text: string) => Buffer.from(text.replace(/\r?\n/g, '\r\n'), 'latin1')
const head = (protocol = '"application/pkcs7-signature"', type = 'multipart/signed') =>
  `MIME-Version: 1.0\nContent-Type: ${type}; protocol=${protocol}; micalg=SHA-256;\n boundary="--=_b"\n\n`
const content = 'Content-Type: text/plain\n\nhello\n'
const signature =
  'Content-Type: application/pkcs7-signature; name=smime.p7s\nContent-Transfer-Encoding: base64\n\nQUJD\n'
const whole = `${head()}----=_b\n${content}\n----=_b\n${signature}\n----=_b--\n`

function cause(text: string | Buffer) {
  const split = splitSigned(typeof text === 'string' ? crlf(text) : text)
  return split.kind === 'not-signed' ? split.cause : split.kind === 'unreadable' ? split.fault : split.kind
}

describe('splitSigned', () => {
  it('gives the exact bytes that the signature covers, and the signature part', () => {
    const source = crlf(whole)
    const split = splitSigned(source)
    if (split.kind !== 'signed') throw new Error(split.detail)
    expect(split.content.toString()).toBe('Content-Type: text/plain\r\n\r\nhello\r\n')
    expect(split.content.buffer).toBe(source.buffer)
    expect(split.signature.body.toString()).toBe('QUJD\r\n')
    expect(split.micalg).toBe('sha-256')
  })

  it('keeps trailing blank lines and white space of the signed part', () => {
    const split = splitSigned(crlf(`${head()}----=_b\n\nx \t\n\n\n----=_b\n${signature}\n----=_b--`))
    expect(split.kind === 'signed' && split.content.toString()).toBe('\r\nx \t\r\n\r\n')
  })

  it('changes nothing where the signed part has bare LF', () => {
    const source = Buffer.concat([
      crlf(`${head()}----=_b\n`),
      Buffer.from('A: 1\n\nx\ny'),
      crlf(`\n----=_b\n${signature}\n----=_b--`),
    ])
    const split = splitSigned(source)
    expect(split.kind === 'signed' && split.content.toString()).toBe('A: 1\n\nx\ny')
  })

  it('takes a frame in bare LF, as some signers write it around content in CRLF', () => {
    const [frame = '', rest = ''] = whole.split(content)
    const split = splitSigned(Buffer.concat([Buffer.from(frame), crlf(content), Buffer.from(rest)]))
    if (split.kind !== 'signed') throw new Error(split.detail)
    expect(split.content.toString()).toBe('Content-Type: text/plain\r\n\r\nhello\r\n')
    expect(split.signature.body.toString()).toBe('QUJD\n')
  })

  it('passes over the sentence that signing programs put first', () => {
    expect(
      cause(`${head()}This is an S/MIME signed message\n\n----=_b\n${content}\n----=_b\n${signature}\n----=_b--\n\n`),
    ).toBe('signed')
  })

  it.each([
    ['not-multipart-signed', 'Content-Type: application/pkcs7-mime; smime-type=signed-data\n\nQUJD'],
    ['not-multipart-signed', whole.replace('multipart/signed', 'multipart/mixed')],
    ['not-multipart-signed', whole.replace('MIME-Version: 1.0', 'Content-Type: text/plain')],
    ['wrong-protocol', whole.replace('"application/pkcs7-signature"', '"application/pgp-signature"')],
    ['wrong-protocol', whole.replace('protocol="application/pkcs7-signature";', '')],
    ['wrong-protocol', whole.replace('protocol=', 'protocol="application/x-pkcs7-signature"; protocol=')],
    ['not-two-parts', `${head()}----=_b\n${content}\n----=_b--`],
    ['not-two-parts', `${head()}nothing`],
    ['not-two-parts', whole.replace('----=_b--', '----=_b\n\nthird\n----=_b--')],
    ['not-two-parts', whole.replace('----=_b--', '----=_b\n\nthird')],
    ['not-closed', whole.replace('----=_b--', '')],
    ['not-closed', whole.replace('----=_b--', '----=_b--x')],
    ['text-after-signature', `${whole}Pay nothing to anybody.`],
    ['text-after-signature', `${whole}----=_b\n\nmore\n----=_b--`],
    ['preamble-too-long', whole.replace('----=_b', `${'text shown by careless readers '.repeat(40)}\n----=_b`)],
    ['second-part-no-signature', whole.replace('application/pkcs7-signature; name', 'text/plain; name')],
    ['second-part-no-signature', `${head()}----=_b\n${signature}\n----=_b\n${content}\n----=_b--`],
    ['boundary-absent', whole.replace('boundary=', 'border=')],
    ['not-a-field', whole.replace('Content-Transfer-Encoding: base64', 'oops')],
    ['bare-cr', whole.replace('micalg', '\rmicalg')],
    [
      'not-two-parts',
      Buffer.from(whole.replace(/\n\n/, '\r\n\r\n').replace(/\n(?=Content-Type: multipart| boundary)/g, '\r\n')),
    ],
    ['signed', whole.replaceAll('pkcs7-signature', 'x-pkcs7-signature')],
    ['signed', whole.replaceAll('application/pkcs7-signature', 'Application/PKCS7-Signature')],
    ['signed', whole.replace('"application/pkcs7-signature"', 'application/pkcs7-signature')],
  ])('answers %s', (expected, text) => {
    expect(cause(text)).toBe(expected)
  })

  it('never throws, and what it gives is always a run of the source', () => {
    const seed = crlf(whole)
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(seed.length - 1), fc.constantFrom(0, 10, 13, 32, 34, 45, 59, 61)), {
          minLength: 1,
          maxLength: 3,
        }),
        (changes) => {
          const bytes = Buffer.from(seed)
          for (const [at, byte] of changes) bytes[at] = byte
          const split = splitSigned(bytes)
          if (split.kind === 'signed') expect(bytes.includes(split.content)).toBe(true)
        },
      ),
      { numRuns: 3_000 },
    )
  })
})

describe('toCanonicalLines', () => {
  it('makes every break CRLF, and copies nothing where they all are', () => {
    expect(toCanonicalLines(Buffer.from('\na\r\nb\n\n\rc\n')).toString()).toBe('\r\na\r\nb\r\n\r\n\rc\r\n')
    const done = Buffer.from('a\r\nb\r\n')
    expect(toCanonicalLines(done)).toBe(done)
  })
})

describe('unwrapMessage', () => {
  const inner = 'From: a@x.test\r\nSubject: caf=C3\r\n\r\nbody\r\n'
  const unwrap = (text: string) => unwrapMessage(Buffer.from(text, 'latin1'))
  const opened = (text: string) => {
    const unwrapped = unwrap(text)
    return unwrapped.kind === 'unwrapped' ? unwrapped.bytes.toString('latin1') : unwrapped.kind
  }

  it.each([
    ['plain', `Content-Type: message/rfc822\r\n\r\n${inner}`],
    [
      'any case, with parameters',
      `content-type:MESSAGE/Rfc822; x=y; name="a;b"\r\nContent-Transfer-Encoding: 8BIT\r\n\r\n${inner}`,
    ],
    ['binary', `Content-Transfer-Encoding: binary\r\nContent-Type: message/rfc822\r\n\r\n${inner}`],
    [
      'base64',
      `Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(inner).toString('base64')}`,
    ],
    [
      'quoted-printable',
      `Content-Type: message/rfc822\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\n${inner.replace('=', '=3D').replace('body', 'bo=\r\ndy')}`,
    ],
  ])('opens a wrapper that is %s', (_name, text) => {
    expect(opened(text)).toBe(inner)
  })

  it('calls any other entity not wrapped, and opens one wrapper only', () => {
    expect(opened('From: a@x.test\r\n\r\nbody')).toBe('not-wrapped')
    expect(opened('Content-Type: message/rfc822x\r\n\r\nbody')).toBe('not-wrapped')
    const once = `Content-Type: message/rfc822\r\n\r\n${inner}`
    expect(opened(`Content-Type: message/rfc822\r\n\r\n${once}`)).toBe(once)
  })

  it('refuses what cannot be read one way only', () => {
    expect(unwrap('Content-Type: message/rfc822\r\nContent-Transfer-Encoding: x-own\r\n\r\nx')).toMatchObject({
      fault: 'transfer-encoding',
    })
    expect(unwrap('Content-Type: message/rfc822\r\nContent-Type: text/plain\r\n\r\nx')).toMatchObject({
      fault: 'duplicate-field',
    })
    expect(unwrap('Content-Type: message/rfc822\nx: y\r\n\r\nx')).toMatchObject({ fault: 'bare-lf' })
  })
})
