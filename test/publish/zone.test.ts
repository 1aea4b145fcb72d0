import { describe, expect, test } from 'vitest'
import { readZone, type ZoneSettings } from '../../src/publish/zone.js'
import { zone } from './worlds.js'

const readWith = (records: readonly string[], more: Partial<ZoneSettings> = {}) =>
  readZone({ ...zone, nameServers: ['ns.elsewhere.example'], records, ...more })

describe('readZone', () => {
  test('reads the zone of the tests, and every line as a zone file has it', () => {
    expect(readZone(zone).kind).toBe('zone')
    for (const line of [
      '@ 3600 IN A 192.0.2.1',
      'a AAAA ::ffff:192.0.2.1',
      'a AAAA ::',
      '@ MX 0 .',
      '_x._tcp SRV 0 0 0 .',
      'a TXT "two words" one "and \\" a quote"',
      'a.b CAA 128 iodef "mailto:a@clinic.example"',
      'full.clinic.example. A 192.0.2.1',
    ])
      expect({ line, kind: readWith([line]).kind }).toEqual({ line, kind: 'zone' })
  })

  test.each([
    ['a A 192.0.2.256', 'cannot be read as A'],
    ['a A 192.0.2.1 192.0.2.2', 'cannot be read as A'],
    ['a AAAA 192.0.2.1', 'cannot be read as AAAA'],
    ['a AAAA fe80::1%eth0', 'cannot be read as AAAA'],
    ['a MX mail', 'cannot be read as MX'],
    ['a MX 65536 mail', 'cannot be read as MX'],
    ['a SRV 0 0 389', 'cannot be read as SRV'],
    [`a TXT "${'x'.repeat(256)}"`, 'cannot be read as TXT'],
    ['a TXT "open', 'cannot be read'],
    ['a CAA 1 issue "x"', 'cannot be read as CAA'],
    ['a NS ns.clinic.example.', 'NS is not published here'],
    ['a CERT PKIX 0 0 AAAA', 'CERT is not published here'],
    ['a', 'nothing is not published here'],
    ['a..b A 192.0.2.1', 'is no host name'],
    ['* A 192.0.2.1', 'is no host name'],
    [`${'x'.repeat(64)} A 192.0.2.1`, 'is no host name'],
    ['a.elsewhere.example. A 192.0.2.1', 'is outside'],
    ['a 700000 A 192.0.2.1', 'no TTL'],
  ])('refuses %s', (line, words) => {
    const read = readWith([line])
    expect(read.kind === 'bad' && read.detail).toContain(words)
  })

  test('refuses an alias beside other records, at the apex, and as a target; a name server without address', () => {
    const detail = (records: readonly string[], more: Partial<ZoneSettings> = {}) => {
      const read = readWith(records, more)
      return read.kind === 'bad' ? read.detail : 'fine'
    }
    expect(detail(['a CNAME b', 'a A 192.0.2.1'])).toContain('something else')
    expect(detail(['a CNAME b', 'a CNAME c'])).toContain('something else')
    expect(detail(['@ CNAME b'])).toContain('something else')
    expect(detail(['a CNAME b', '@ MX 10 a'])).toContain('something points to it')
    expect(detail([], { nameServers: ['ns1.clinic.example'] })).toContain('needs an A or AAAA')
    expect(detail([], { nameServers: [] })).toContain('needs a name server')
    expect(detail([], { contact: 'host.master@clinic.example' })).toContain('without a dot')
    expect(detail([], { name: '.' })).not.toBe('fine')
    // The same record twice is the record once.
    expect(detail(['a CNAME b', 'a CNAME b'])).toBe('fine')
  })
})
