import { describe, expect, it } from 'vitest'
import type { Explained, ExplainQuestion } from '../../src/pipeline/explain.js'
import { explain } from '../../src/pipeline/explain.js'
import { alice, doctor, doctorKey, domain, newGateway } from '../fixtures/gateway.js'
import { openGateway } from './gateway.js'

const path = '/api/v1/trust/explain'

/** The API, with the trust of a furnished gateway behind it. */
async function served() {
  const asked: ExplainQuestion[] = []
  const { gateway: house } = await newGateway()
  const given = {
    async explain(question: ExplainQuestion): Promise<Explained> {
      asked.push(question)
      return explain(question, house)
    },
  }
  const gateway = await openGateway({}, given)
  const { headers } = await gateway.token('*', ['operator'])
  const get = (query: string) => gateway.app.inject({ method: 'GET', url: `${path}?${query}`, headers })
  const post = (payload: object) => gateway.app.inject({ method: 'POST', url: path, headers, payload })
  return { get, post, asked, headers, gateway }
}

describe('GET', () => {
  it('tells the decision for one or several recipients', async () => {
    const { get, asked } = await served()
    const one = await get(`from=${doctor}&to=${alice}`)
    expect(one.statusCode).toBe(200)
    expect(one.json()).toMatchObject({
      at: expect.stringMatching(/Z$/),
      decisions: [{ direction: 'receiving', to: alice, verdict: { kind: 'unknown' }, policy: { revocation: 'soft' } }],
    })
    const two = await get(`from=${doctor}&to=${alice}&to=bob@${domain}`)
    expect(two.json().decisions).toHaveLength(2)
    expect(asked[1]?.certificates).toEqual([])
  })

  it.each([
    ['from=x&to=alice@patients.example', 'query.from'],
    [`from=${doctor}&to=no-address`, 'query.to.0'],
    [`from=${doctor}&to=x@far.example`, 'query.to'],
    [`from=${doctor}`, 'query.to'],
    [`from=${doctor}&to=${alice}&more=1`, 'query'],
  ])('tells 400 to %s', async (query, where) => {
    const { get } = await served()
    const answer = await get(query)
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid-request'])
    expect(answer.json().errors[0].where).toBe(where)
  })
})

describe('POST', () => {
  it('judges the certificate given', async () => {
    const { post } = await served()
    const certificates = [Buffer.from(doctorKey.certificate).toString('base64')]
    const answer = await post({ from: doctor, to: [alice], certificates })
    expect(answer.statusCode).toBe(200)
    expect(answer.json().decisions[0]).toMatchObject({
      verdict: { kind: 'trusted' },
      certificates: [
        {
          fingerprint: doctorKey.fingerprint,
          binding: 'address',
          notAfter: expect.stringMatching(/Z$/),
          paths: [{ anchor: { owner: domain }, certificates: [{}, { notBefore: expect.stringMatching(/Z$/) }] }],
        },
      ],
    })
  })

  it('tells 400 to what is no base64, and too many', async () => {
    const { post } = await served()
    for (const certificates of [['*'], Array.from({ length: 21 }, () => 'AAAA')])
      expect((await post({ from: doctor, to: [alice], certificates })).statusCode).toBe(400)
  })

  it('answers what is no certificate with its reason', async () => {
    const { post } = await served()
    const answer = await post({ from: doctor, to: [alice], certificates: ['AAAA'] })
    expect(answer.json().decisions[0].verdict).toMatchObject({ reason: 'malformed-certificate' })
  })
})

it('is unavailable where the gateway gave no way to ask', async () => {
  const gateway = await openGateway()
  const { headers } = await gateway.token('*', ['operator'])
  const answer = await gateway.app.inject({ method: 'GET', url: `${path}?from=${doctor}&to=${alice}`, headers })
  expect([answer.statusCode, answer.json().code]).toEqual([503, 'unavailable'])
})
