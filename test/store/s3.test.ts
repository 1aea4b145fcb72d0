import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readListing } from '../../src/store/s3/listing.js'
import { checkedEndpoint } from '../../src/store/s3/options.js'
import { signatureOf } from '../fixtures/s3.js'

const page = (inside: string) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>mail</Name>${inside}</ListBucketResult>`
const object = (key: string, at = '2026-01-05T12:00:00.000Z') =>
  `<Contents><Key>${key}</Key><LastModified>${at}</LastModified><ETag>&quot;x&quot;</ETag><Owner><ID>o</ID></Owner></Contents>`

describe('a listing', () => {
  it('is read with its objects and where the next page begins', () => {
    const text = page(
      `<IsTruncated>true</IsTruncated>${object('a/b')}${object('c &amp; d&#x21;')}<NextContinuationToken>1ueG&lt;/==</NextContinuationToken>`,
    )
    expect(readListing(text)).toEqual({
      objects: [
        { key: 'a/b', modifiedAt: Date.UTC(2026, 0, 5, 12) },
        { key: 'c & d!', modifiedAt: Date.UTC(2026, 0, 5, 12) },
      ],
      next: '1ueG</==',
    })
  })

  it('may be empty, and may have spaces between its elements', () => {
    expect(readListing(page('\n  <IsTruncated>false</IsTruncated>\n  <Prefix/>\n'))).toEqual({
      objects: [],
      next: undefined,
    })
  })

  it.each([
    ['nothing', ''],
    ['an error', '<Error><Code>InternalError</Code></Error>'],
    ['a document type', `<!DOCTYPE x [<!ENTITY e "e">]>${page('<IsTruncated>false</IsTruncated>')}`],
    ['a comment', page('<!-- --><IsTruncated>false</IsTruncated>')],
    ['CDATA', page('<IsTruncated><![CDATA[false]]></IsTruncated>')],
    ['an unknown entity', page('<Name>&e;</Name><IsTruncated>false</IsTruncated>')],
    ['a lone ampersand', page('<Name>a & b</Name><IsTruncated>false</IsTruncated>')],
    ['crossed elements', page('<IsTruncated>false</Name></IsTruncated>')],
    ['a second root', `${page('<IsTruncated>false</IsTruncated>')}<ListBucketResult/>`],
    ['an end that is missing', page('<IsTruncated>false</IsTruncated>').slice(0, -5)],
    ['a page without end that says no next', page('<IsTruncated>true</IsTruncated>')],
    ['no word on whether it is the last', page(object('a'))],
    ['an object without a time', page(`<IsTruncated>false</IsTruncated>${object('a', 'yesterday')}`)],
    ['an object without a key', page(`<IsTruncated>false</IsTruncated>${object('')}`)],
    ['elements in elements', page(`<IsTruncated>false</IsTruncated>${'<a>'.repeat(50)}${'</a>'.repeat(50)}`)],
  ])('is not %s', (_, text) => {
    expect(readListing(text)).toBeUndefined()
  })

  it('is read, or not, whatever was changed in it, and never throws', () => {
    const good = page(`<IsTruncated>true</IsTruncated>${object('a')}<NextContinuationToken>x</NextContinuationToken>`)
    const change = fc.tuple(
      fc.nat(good.length),
      fc.nat(6),
      fc.constantFrom('<', '>', '/', '&', '"', ' ', '&#xffffff;', '<a b="c">', ''),
    )
    fc.assert(
      fc.property(fc.array(change, { maxLength: 6 }), (changes) => {
        let text = good
        for (const [at, length, by] of changes) text = text.slice(0, at) + by + text.slice(at + length)
        const listing = readListing(text)
        expect(listing === undefined || Array.isArray(listing.objects)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  it('takes time in proportion to its length, however it is made', () => {
    const hostile = [
      '<a '.repeat(200_000),
      `<a${' b="c"'.repeat(200_000)}`,
      '&'.repeat(1_000_000),
      `<a${' '.repeat(1_000_000)}`,
      `${page('')}${' '.repeat(1_000_000)}x`,
    ]
    const start = performance.now()
    for (const text of hostile) expect(readListing(text)).toBeUndefined()
    expect(performance.now() - start).toBeLessThan(1000)
  })
})

describe('the judge of signatures', () => {
  // The examples of "Authenticating Requests: Using the Authorization Header" in the S3 reference.
  const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
  const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
  const headers = {
    host: 'examplebucket.s3.amazonaws.com',
    'x-amz-content-sha256': empty,
    'x-amz-date': '20130524T000000Z',
  }

  it('comes to the published signature of GET Object', () => {
    const request = { method: 'GET', url: '/test.txt', headers: { ...headers, range: 'bytes=0-9' } }
    const signedHeaders = ['host', 'range', 'x-amz-content-sha256', 'x-amz-date']
    expect(signatureOf(request, { secretAccessKey, region: 'us-east-1', signedHeaders })).toBe(
      'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    )
  })

  it('comes to the published signature of GET Bucket, whose query is in no order', () => {
    const request = { method: 'GET', url: '/?prefix=J&max-keys=2', headers }
    const signedHeaders = ['host', 'x-amz-content-sha256', 'x-amz-date']
    expect(signatureOf(request, { secretAccessKey, region: 'us-east-1', signedHeaders })).toBe(
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    )
  })
})

describe('the options of a bucket', () => {
  const good = {
    endpoint: 'https://s3.example.org',
    region: 'eu-test-1',
    bucket: 'mail',
    accessKeyId: 'AKID',
    secretAccessKey: 'not-to-be-shown',
    draftDirectory: '/nowhere',
  }

  it.each([
    [{ endpoint: 'http://s3.example.org' }, 'https'],
    [{ endpoint: 'http://127.0.0.1.example.org' }, 'https'],
    [{ endpoint: 'ftp://s3.example.org' }, 'endpoint'],
    [{ endpoint: 'https://user:word@s3.example.org' }, 'endpoint'],
    [{ endpoint: 's3.example.org' }, 'endpoint'],
    [{ region: 'a/b' }, 'region'],
    [{ bucket: 'Mail' }, 'bucket'],
    [{ bucket: 'a/b' }, 'bucket'],
    [{ bucket: 'mail.example.org' }, 'forcePathStyle'],
    [{ prefix: '../x' }, 'prefix'],
    [{ prefix: 'a b' }, 'prefix'],
    [{ prefix: '/a' }, 'prefix'],
    [{ prefix: `${'a'.repeat(500)}!` }, 'prefix'],
    [{ secretAccessKey: '' }, 'secretAccessKey'],
  ])('refuse %o, and say which it was', (wrong, word) => {
    const opening = () => checkedEndpoint({ ...good, ...wrong })
    expect(opening).toThrow(word)
    expect(opening).not.toThrow('not-to-be-shown')
  })

  it('take plain HTTP on loopback, and a prefix of words', () => {
    for (const endpoint of ['http://127.0.0.1:9000', 'http://[::1]:9000', 'http://localhost:9000'])
      expect(checkedEndpoint({ ...good, endpoint }).port).toBe('9000')
    expect(checkedEndpoint({ ...good, prefix: 'a/b-c_d/e.f/' }).hostname).toBe('s3.example.org')
  })
})
