import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { domainOf, parseAddress, parseDomain, spellings } from '../../src/direct/address.js'

describe('an address', () => {
  it('is folded as a whole, so that its local part binds regardless of case', () => {
    expect(parseAddress(' Dr.Lee+Mail@Direct.Clinic.EXAMPLE ')).toBe('dr.lee+mail@direct.clinic.example')
  })

  it.each([
    ['without a local part', '@clinic.example'],
    ['without a domain', 'lee@'],
    ['with two dots', 'a..b@clinic.example'],
    ['with a quoted local part', '"a b"@clinic.example'],
    ['with a display name', 'Lee <lee@clinic.example>'],
    ['with a NUL', 'lee\0@clinic.example'],
    ['with a line break', 'lee@clinic.example\r\nRCPT TO:<x@y>'],
    ['with a local part over 64 octets', `${'a'.repeat(65)}@clinic.example`],
    ['with a domain literal', 'lee@[192.0.2.1]'],
    ['with a Kelvin sign for a k', 'mi\u212ae@clinic.example'],
    ['with a Kelvin sign in its domain', 'mike@\u212alinic.example'],
    ['with a no-break space around it', '\u00a0lee@clinic.example'],
    ['with a label of 64 octets', `lee@${'a'.repeat(64)}.example`],
    ['with a label that begins with a hyphen', 'lee@-clinic.example'],
  ])('is none %s', (_, text) => {
    expect(parseAddress(text)).toBeUndefined()
  })

  it('reads back what it gave, for anything that it takes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.emailAddress(), fc.string({ unit: 'binary' })), (text) => {
        const address = parseAddress(text)
        if (address === undefined) return
        expect(parseAddress(address)).toBe(address)
        expect(parseDomain(domainOf(address))).toBe(domainOf(address))
        expect(address).toMatch(/^[!-~]+$/)
      }),
    )
  })
})

describe('the names of an address', () => {
  it.each([
    ['bob@clinic.test', ['bob@clinic.test']],
    ['a+b+c@clinic.test', ['a+b+c@clinic.test', 'a@clinic.test']],
    ['+ward@clinic.test', ['+ward@clinic.test']],
  ])('of %s are the exact one, then the one without its tag', (address, names) => {
    expect(spellings(address as DirectAddress)).toEqual(names)
  })
})

describe('a domain', () => {
  it('loses case and a trailing dot', () => {
    expect(parseDomain('Direct.Clinic.Example.')).toBe('direct.clinic.example')
  })

  it('has at most 253 octets', () => {
    const label = 'a'.repeat(62)
    expect(parseDomain([label, label, label, label].join('.'))).toBeDefined()
    expect(parseDomain([label, label, label, label, 'bbb'].join('.'))).toBeUndefined()
  })
})
