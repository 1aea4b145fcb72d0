import { afterEach, describe, expect, it } from 'vitest'
import type { Claim, ClaimOutcome } from '../../src/pipeline/newuser.js'
import { allergy, openWays, patient, type Ways } from '../connect/ways.js'

let ways: Ways
afterEach(() => ways.gateway.app.close())
const words = { friendlyName: 'Anna', question: 'What was your first dog called?', externalId: 'mrn-1' }
const answer = 'Rex the dog'

const hidden = (body: string, name: string) => new RegExp(`name="${name}" value="([^"]*)"`).exec(body)?.[1] ?? ''

/** A package, its code and the page after the right answer. */
async function answered(items: readonly object[]) {
  const made = await ways.packages.create(
    ways.app.id,
    { ...words, content: { kind: 'open', answer, items, files: [] } },
    'x',
  )
  if (made.kind !== 'created') throw new Error(made.kind)
  const asked = await ways.browse('mother', '/pickup', { code: made.code })
  expect(asked.body).toContain(words.question)
  const page = await ways.browse('mother', '/pickup/answer', { code: made.code, answer })
  return { code: made.code, page, ticket: hidden(page.body, 'ticket') }
}

describe('the page of a package', () => {
  it('shows what is inside and of whom it tells, and takes it into a record that is chosen', async () => {
    ways = await openWays()
    const { page, ticket } = await answered([patient('Anna', '2015-02-03'), allergy])
    for (const text of ['Peanuts', 'Anna Muster, born 2015-02-03', ways.app.name, 'Rex'].slice(0, 3))
      expect(page.body).toContain(text)
    expect(page.body).not.toContain('Rex')
    const none = await ways.browse('mother', '/pickup/package/take', { ticket })
    expect([none.status, none.body.includes('href="#record"')]).toEqual([422, true])
    const taken = await ways.browse('mother', '/pickup/package/take', { ticket, record: 'child' })
    expect([taken.status, taken.location]).toEqual([303, `/pickup/package/done?app=${ways.app.id}&things=2`])
    expect(await ways.current('child')).toEqual(['allergy', 'demographics', 'document'])
    const done = await ways.browse('mother', taken.location)
    expect(done.body).toContain('Thank you, see you soon')
    expect((await ways.browse('mother', '/pickup/package/take', { ticket, record: 'child' })).status).toBe(409)
  })

  it('asks again before it gives a record what seems to be of somebody else', async () => {
    ways = await openWays()
    const first = await answered([patient('Anna', '2015-02-03')])
    await ways.browse('mother', '/pickup/package/take', { ticket: first.ticket, record: 'child' })
    const { ticket } = await answered([patient('Berta', '2017-07-08'), allergy])
    const warned = await ways.browse('mother', '/pickup/package/take', { ticket, record: 'child' })
    expect([warned.status, warned.body.includes('name="confirmed"')]).toEqual([422, true])
    expect(await ways.current('child')).not.toContain('allergy')
    const taken = await ways.browse('mother', '/pickup/package/take', { ticket, record: 'child', confirmed: 'yes' })
    expect(taken.status).toBe(303)
    expect(await ways.current('child')).toContain('allergy')
  })

  it('takes nothing into what the person does not have or may not add to, nor for another session', async () => {
    ways = await openWays()
    ways.hold('mother', 'seen', [{ name: 'see', reason: {}, permissions: ['read'] }])
    const { ticket } = await answered([allergy])
    for (const record of ['other', 'seen'])
      expect((await ways.browse('mother', '/pickup/package/take', { ticket, record })).status).toBe(422)
    expect((await ways.browse('stranger', '/pickup/package/take', { ticket, record: 'other' })).status).toBe(409)
    const forged = await ways.browse('mother', '/pickup/package/take', { ticket, record: 'child', csrf: 'forged' })
    expect(forged.status).toBe(403)
    expect(await ways.current('child')).toEqual([])
  })

  it('may be left alone for now, or for ever', async () => {
    ways = await openWays()
    const { code, ticket } = await answered([allergy])
    const not = await ways.browse('mother', '/pickup/package/reject', { ticket, decision: 'reject' })
    expect(not.location).toBe('/pickup/rejected')
    const again = await ways.browse('mother', '/pickup/answer', { code, answer })
    await ways.browse('mother', '/pickup/package/reject', { ticket: hidden(again.body, 'ticket'), decision: 'never' })
    expect((await ways.browse('mother', '/pickup', { code })).status).toBe(422)
  })

  it('says so where what was left cannot be read', async () => {
    ways = await openWays()
    const { page } = await answered([{ not: 'an item' }])
    expect([page.status, page.body.includes('cannot be read')]).toEqual([422, true])
  })
})

describe('the page of mail that waited', () => {
  /** Held mail without a question, whose answer is a birth date. */
  async function waiting(outcomes: ClaimOutcome[]) {
    const claims: Claim[] = []
    ways = await openWays({
      newcomers: {
        async claim(claim) {
          claims.push(claim)
          return outcomes.shift() ?? { kind: 'nothing' }
        },
        decline: async (ticket) => ticket !== '',
      },
    })
    ways.rules.message = {
      verify: async (_, given) => ({ kind: given === '2015-02-03' ? 'right' : 'wrong' }),
    }
    const made = await ways.requests.create({
      kind: 'message',
      owner: 'direct',
      friendlyName: 'Anna',
      birthDate: '2015-02-03',
    })
    if (made.kind !== 'created') throw new Error(made.kind)
    await ways.store.commit(made.parts)
    const asked = await ways.browse('mother', '/pickup', { code: made.code })
    expect(asked.body).toContain('type="date"')
    const page = await ways.browse('mother', '/pickup/answer', { code: made.code, answer: '2015-02-03' })
    return { claims, page, fields: { ticket: hidden(page.body, 'ticket'), about: hidden(page.body, 'about') } }
  }

  it('asks for the birth date, for the record, and once more where it seems to be of somebody else', async () => {
    const claimed = { kind: 'claimed', address: 'anna@gw.example', message: 'm', documents: 1 } as never
    const { claims, page, fields } = await waiting([{ kind: 'other-patient', reasons: [] }, claimed])
    expect(page.body).toContain('A message about Anna')
    const warned = await ways.browse('mother', '/pickup/message/take', { ...fields, record: 'child' })
    expect([warned.status, warned.body.includes('name="confirmed"')]).toEqual([422, true])
    const taken = await ways.browse('mother', '/pickup/message/take', { ...fields, record: 'child', confirmed: 'yes' })
    expect(taken.location).toBe('/pickup/message/done?address=anna%40gw.example')
    expect((await ways.browse('mother', taken.location)).body).toContain('anna@gw.example')
    expect(claims.map(({ person, record, confirmed }) => [person, record, confirmed])).toEqual([
      ...[
        ['mother', 'child', false],
        ['mother', 'child', true],
      ],
    ])
  })

  it('says that no address can be taken where none can, and that the sender is told of a refusal', async () => {
    const { fields } = await waiting([{ kind: 'address-needed' }])
    const page = await ways.browse('mother', '/pickup/message/take', { ...fields, record: 'child' })
    expect(page.body).toContain('Addresses cannot be taken here at the moment')
    expect((await ways.browse('mother', '/pickup/message/refuse', fields)).body).toContain('its sender is told')
  })
})
