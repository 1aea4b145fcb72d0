import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readHeader } from '../../src/mime/header.js'
import { noticeRequestOf } from '../../src/notices/request.js'

function request(text: string) {
  const header = readHeader(Buffer.from(text.replace(/\n/g, '\r\n')))
  if (header.kind !== 'header') throw new Error(header.detail)
  return noticeRequestOf(header)
}

const to = 'Disposition-Notification-To: Dr Jones <Jones@Y.test>\n'
const options = (value: string) => request(`${to}Disposition-Notification-Options: ${value}\n\n`)

describe('noticeRequestOf', () => {
  it.each([
    'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true',
    'x-direct-final-destination-delivery=Optional,TRUE',
    ' X-DIRECT-FINAL-DESTINATION-DELIVERY = optional , true ',
    'X-OTHER=optional,a,b; X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true',
    'X-DIRECT-FINAL-DESTINATION-DELIVERY=\n optional,true',
  ])('finds final delivery asked for by %j', (value) => {
    expect(options(value)).toEqual({ notifyTo: 'jones@y.test', finalDelivery: true })
  })

  it.each([
    'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,false',
    'X-DIRECT-FINAL-DESTINATION-DELIVERY=required,true',
    'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional',
    'X-DIRECT-FINAL-DESTINATION-DELIVERY=true',
    'X-DIRECT-FINAL-DESTINATION-DELIVERY',
    'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true,false',
    'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true;X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true',
    'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true; broken',
    'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true;',
    'X-DIRECT-FINAL-DESTINATION-DELIVERYX=optional true',
    'X-DIRECT-FINAL-DESTINATION-DELIVERY:optional,true',
    '"X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true"',
    'X-XXXX-FINAL-X-DELXXXX=optioXXX,tXX',
    '',
  ])('does not find it, and says why, in %j', (value) => {
    expect(options(value)).toMatchObject({ notifyTo: 'jones@y.test', finalDelivery: false, fault: expect.any(String) })
  })

  it('does not mind options about something else', () => {
    expect(options('X-OTHER=required,x')).toEqual({ notifyTo: 'jones@y.test', finalDelivery: false })
  })

  it('needs one plain address to notify, and one options field', () => {
    const good = 'Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\n'
    expect(request(`${good}\n`)).toMatchObject({ finalDelivery: false, fault: expect.any(String) })
    expect(request(`${to}${good}${good}\n`)).toMatchObject({ finalDelivery: false })
    expect(request(`${to}${to}${good}\n`)).toMatchObject({ finalDelivery: false })
    expect(request(`Disposition-Notification-To: a@x.test, b@y.test\n${good}\n`)).not.toHaveProperty('notifyTo')
    expect(request(`Disposition-Notification-To: yes\n${good}\n`)).toMatchObject({ finalDelivery: false })
    expect(request('Subject: x\n\n')).toEqual({ finalDelivery: false })
    expect(request(`${to}\n`)).toEqual({ notifyTo: 'jones@y.test', finalDelivery: false })
  })

  it('never finds it in a value that differs by a letter', () => {
    const good = 'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true'
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.constantFrom('z', '=', ',', ';', '-', '"', '(', '_'), (at, letter) => {
        const changed = good.slice(0, at) + letter + good.slice(at + 1)
        if (changed !== good) expect(options(changed).finalDelivery).toBe(false)
      }),
    )
  })
})
