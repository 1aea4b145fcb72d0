import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openGroup } from '../../src/store/postgres/group.js'
import { readAddresses } from '../../src/store/postgres/options.js'
import { findPassword } from '../../src/store/postgres/passwords.js'
import { migrations, schemaFormat } from '../../src/store/postgres/schema.js'
import { byteaArray, int8Array, readBytes, readNumber } from '../../src/store/postgres/wire.js'

describe('addresses of PostgreSQL servers', () => {
  const first = (url: string) => readAddresses({ urls: [url] })[0]

  it('are read with several hosts, ports, IPv6 and socket folders', () => {
    const found = readAddresses({
      urls: ['postgresql://me@one,two:6543,[fe80::1]:7654/mail', 'postgres://me@/mail?host=/run/postgresql'],
    })
    expect(found.map(({ host, port }) => `${host} ${port}`)).toEqual([
      'one 5432',
      'two 6543',
      'fe80::1 7654',
      '/run/postgresql 5432',
    ])
    expect(found.every(({ user, database }) => user === 'me' && database === 'mail')).toBe(true)
  })

  it('keep what is escaped in user, password and database', () => {
    expect(first('postgresql://m%40e:p%3A%2Fw@h/d%20b')).toMatchObject({
      user: 'm@e',
      password: 'p:/w',
      database: 'd b',
    })
  })

  it('ask every other machine for its certificate, and this one only when told to', () => {
    const tls = (host: string) => first(`postgresql://me@${host}/d`)?.tls
    for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '[::1]', '%2Frun%2Fpostgresql'])
      expect(tls(host)).toBe(false)
    for (const host of ['db.example.org', '10.0.0.1', '127.example.org', 'localhost.example.org'])
      expect(tls(host)).toMatchObject({ rejectUnauthorized: true })
    expect(readAddresses({ urls: ['postgresql://me@localhost/d'], tls: { mode: 'verify-full' } })[0]?.tls).toBeTruthy()
    expect(first('postgresql://me@db.example.org/d?sslmode=disable')?.tls).toBe(false)
    expect(() => first('postgresql://me@db.example.org/d?sslmode=require')).toThrow('sslmode')
  })

  it('are refused without showing what may be a password', () => {
    for (const url of [
      'mysql://me:hunter2@h/d',
      'postgresql://me:hunter2@h:99999/d',
      'postgresql://me:hunter2@h',
      'postgresql://me:hunter2@[h/d',
      'postgresql://me:hunter2@h/d?options=-c',
      'me:hunter2',
      '',
    ]) {
      expect(() => first(url)).toThrow(RangeError)
      expect(() => first(url)).not.toThrow('hunter2')
    }
    expect(() => readAddresses({ urls: [] })).toThrow(RangeError)
  })

  it('any text is an address or a RangeError', () => {
    const piece = fc.constantFrom(
      'postgresql://',
      'me',
      ':',
      '@',
      'h',
      ',',
      '/',
      'd',
      '?host=',
      '%',
      '%41',
      '[',
      ']',
      '5432',
      '&',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        try {
          for (const { host, port } of readAddresses({ urls: [`postgresql://${pieces.join('')}`] }))
            expect(host.length * port).toBeGreaterThan(0)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }),
      { numRuns: 5000 },
    )
  })
})

describe('a password file', () => {
  const address = { host: 'db', port: 5432, database: 'mail', user: 'me' }

  it('gives the password of the first line that matches', () => {
    const file = '# db:5432:mail:me:no\nother:*:*:*:no\ndb:5432:mail:you:no\n*:*:mail:me:yes\n*:*:*:*:late\n'
    expect(findPassword(file, address)).toBe('yes')
    expect(findPassword(file, { ...address, database: 'x' })).toBe('late')
    expect(findPassword('db:5432:mail:you:no', address)).toBeUndefined()
    expect(findPassword('db:5432:mail', address)).toBeUndefined()
  })

  it('takes back escaped colons, and calls a socket folder localhost', () => {
    expect(findPassword('db:5432:mail:me:a\\:b\\\\c', address)).toBe('a:b\\c')
    expect(findPassword('localhost:*:*:*:here', { ...address, host: '/run/postgresql' })).toBe('here')
  })
})

describe('arrays in binary format', () => {
  it('hold every safe integer', () => {
    fc.assert(
      fc.property(fc.array(fc.maxSafeInteger(), { minLength: 1, maxLength: 5 }), (numbers) => {
        const array = int8Array(numbers)
        expect(numbers.map((_, i) => Number(array.readBigInt64BE(24 + i * 12)))).toEqual(numbers)
      }),
    )
    expect(int8Array([null, 1]).toString('hex')).toBe(
      '000000010000000100000014' + '0000000200000001' + 'ffffffff' + '000000080000000000000001',
    )
  })

  it('hold bytes, nothing and nulls apart', () => {
    expect(byteaArray([]).toString('hex')).toBe('000000000000000100000011')
    expect(byteaArray([Buffer.from([1, 2]), new Uint8Array(), null]).toString('hex')).toBe(
      '000000010000000100000011' + '0000000300000001' + '000000020102' + '00000000' + 'ffffffff',
    )
  })

  it('come back as text that is refused where it is something else', () => {
    expect(readBytes('\\x00ff')).toEqual(Buffer.from([0, 255]))
    for (const field of [null, undefined, 'abc']) expect(() => readBytes(field)).toThrow()
    for (const field of [null, undefined, 'abc', '9007199254740993']) expect(() => readNumber(field)).toThrow()
  })
})

describe('a group at the word of its batches', () => {
  const statements = (group: ReturnType<typeof openGroup>) => group.calls(null).map(({ statement }) => statement.name)
  const value = Buffer.from('v')

  it('guards whatever it assumed', () => {
    const group = openGroup()
    const admitted = [
      group.admit({ require: [{ key: 'new', version: 'absent' }], put: [{ key: 'new', value }] }),
      group.admit({ require: [{ key: 'old', version: 7 }], del: ['old'] }),
      group.admit({ require: [{ key: 'old', version: 7 }] }),
      group.admit({ require: [{ key: 'looked', version: 'absent' }] }),
    ]
    expect(admitted.map(({ kind }) => kind)).toEqual(['committed', 'committed', 'conflict', 'committed'])
    expect(statements(group)).toEqual(['guard_entries', 'insert_entries', 'delete_entries'])
  })

  it('needs one statement for what nobody requires anything of', () => {
    const group = openGroup()
    group.admit({ put: [{ key: 'a', value }] })
    group.admit({ put: [{ key: 'b', value }] })
    expect(statements(group)).toEqual(['put_entries'])
    expect(openGroup().isEmpty()).toBe(true)
  })
})

describe('the schema', () => {
  it('has numbered steps without gaps, each with its way back', () => {
    expect(migrations.map(({ number }) => number)).toEqual(migrations.map((_, i) => i + 1))
    expect(schemaFormat).toBe(migrations.length)
    for (const { says, down } of migrations) expect(Math.min(says.length, down.length)).toBeGreaterThan(0)
  })
})
