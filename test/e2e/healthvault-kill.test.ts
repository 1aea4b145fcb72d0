import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tell } from '../fixtures/process.js'
import { dice } from '../torture/dice.js'
import { type Backend, register } from './healthvault/clinic.js'
import { authorized, newRequest, ticketFor } from './healthvault/connect.js'
import { type House, openHouse } from './healthvault/house.js'
import { noteItem } from './healthvault/items.js'
import { claim, itemsOf, leave, packages } from './healthvault/packages.js'
import { type Person, signUp } from './healthvault/people.js'

/** SIGKILL between any two steps of putting, claiming and authorizing: what was answered is there, and all else is whole. */

const rounds = 4
const seed = 'healthvault-kill'

let house: House
let clinic: Backend
let mother: Person
let child: string

beforeAll(async () => {
  house = await openHouse()
  ;[clinic, mother] = await Promise.all([register(house), signUp(house, 'Mother')])
  child = await mother.record('Anna', { relationship: 'parent' })
})
afterAll(() => house.close())

/** Does work until the process is gone; answers what was acknowledged. */
async function working(work: (at: number) => Promise<string | undefined>): Promise<string[]> {
  const done: string[] = []
  for (let at = 0; at < 1000; at++) {
    try {
      const one = await work(at)
      if (one === undefined) return done
      done.push(one)
    } catch {
      return done
    }
  }
  return done
}

describe('a process that is killed while people write', () => {
  it('has every acknowledged put, claim and consent, and no half of any', { timeout: 110_000 }, async () => {
    const put: string[] = []
    const claimed: string[] = []
    const connected: string[] = []
    const all: { readonly text: string; readonly id: string }[] = []
    for (let round = 0; round < rounds; round++) {
      const waiting = await Promise.all(
        [0, 1, 2].map(async (at) => {
          const text = `claimed ${round} ${at}`
          const { id, code } = await leave(clinic, {}, { items: [noteItem(text)] })
          all.push({ text, id })
          return { text, ticket: await ticketFor(mother, code) }
        }),
      )
      const asked = await Promise.all(
        [0, 1].map(async () => {
          const { code, externalId } = await newRequest(clinic)
          return { externalId, ticket: await ticketFor(mother, code) }
        }),
      )
      const writers = [0, 1, 2].map((who) =>
        working(async (at) => {
          const text = `put ${round} ${who} ${at}`
          const changes = [0, 1].map((half) => ({ kind: 'create', item: noteItem(`${text} ${half}`) }))
          const { status } = await mother.ask('POST', `/api/v1/records/${child}/items`, { changes })
          return status === 200 ? text : undefined
        }),
      )
      const claims = working(async (at) => {
        const one = waiting[at]
        return one && (await claim(mother, one.ticket, child)).status === 200 ? one.text : undefined
      })
      const consents = working(async (at) => {
        const one = asked[at]
        const body = one && { ticket: one.ticket, record: child }
        return body && (await mother.ask('POST', '/api/v1/pickup/connect/accept', body)).status === 200
          ? one.externalId
          : undefined
      })
      await sleep(dice(seed, 'kill', round).between(50, 1500))
      await house.restart('SIGKILL')
      put.push(...(await Promise.all(writers)).flat())
      claimed.push(...(await claims))
      connected.push(...(await consents))
    }

    const texts: string[] = []
    for (let cursor = ''; ; ) {
      const page = (await mother.ask('GET', `/api/v1/records/${child}/items?limit=200&type=note${cursor}`)).json<{
        items: { content: { text: string } }[]
        next?: string
      }>()
      texts.push(...page.items.map(({ content }) => content.text))
      if (page.next === undefined) break
      cursor = `&cursor=${encodeURIComponent(page.next)}`
    }
    tell(
      `killed ${rounds} times: ${put.length} puts, ${claimed.length} claims, ${connected.length} consents acknowledged`,
    )
    expect(put.length).toBeGreaterThan(0)
    for (const text of put) for (const half of [0, 1]) expect(texts).toContain(`${text} ${half}`)
    const halves = texts.filter((text) => text.startsWith('put ')).map((text) => text.replace(/ \d$/, ''))
    for (const text of new Set(halves)) expect(halves.filter((one) => one === text)).toHaveLength(2)
    expect(new Set(texts).size).toBe(texts.length)

    for (const { text, id } of all) {
      const { state } = (await clinic.ask('GET', `${packages}/${id}`)).json<{ state: string }>()
      expect([text, state, texts.includes(text)]).toEqual([text, state, state === 'claimed'])
      if (claimed.includes(text)) expect(state).toBe('claimed')
    }
    const rows = (await authorized(clinic)).map(({ externalId }) => externalId)
    for (const externalId of connected) expect(rows).toContain(externalId)
    expect((await itemsOf(mother, child)).length).toBeGreaterThan(0)

    expect(JSON.parse(await house.cli('verify', '--json'))).toMatchObject({ whole: true })
  })
})
