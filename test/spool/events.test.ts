import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import { refused } from '../../src/direct/refusal.js'
import type { Store } from '../../src/ports/store.js'
import { eventLimits, eventLog, openEvents, readEvent } from '../../src/spool/events.js'
import { openTrail } from '../../src/spool/trail.js'
import {
  accept,
  alice,
  bob,
  domain,
  done,
  gatewayAuthority,
  messagesOf,
  newGateway,
  seal,
  work,
  write,
} from '../fixtures/gateway.js'
import { deliverDue, letter, newSending, sendDue, submitTo } from '../fixtures/sending.js'
import { openRoom } from './room.js'

const to = 'r@far.example' as DirectAddress

async function told(store: Store, ...times: readonly number[]) {
  const trail = openTrail({ store, events: true })
  for (const at of times) await store.commit(trail.steps('m', [{ at, step: 'sent', recipient: to, detail: '250 ok' }]))
}

describe('events', () => {
  it('are the steps of every trail, in the order in which they became true, without gaps', async () => {
    const { store } = await openRoom()
    const trail = openTrail({ store, events: true })
    await store.commit(
      trail.steps('one', [
        { at: 5, step: 'accepted', detail: 'a' },
        { at: 5, step: 'refused', recipient: to, detail: 'b', refusal: refused('no-anchor', 'c') },
      ]),
    )
    await store.commit(trail.steps('two', [{ at: 3, step: 'sent', recipient: to, detail: 'd' }]))
    const events = await openEvents({ store }).read(0, 10)
    expect(events).toMatchObject([
      { sequence: 1, event: { at: 5, message: 'one', step: 'accepted', detail: 'a' } },
      { sequence: 2, event: { message: 'one', step: 'refused', recipient: to, reason: 'no-anchor', detail: 'b' } },
      { sequence: 3, event: { at: 3, message: 'two', step: 'sent', detail: 'd' } },
    ])
    const rows = await store.range({ gte: 'trail/', lt: 'trail0', limit: 10 })
    const places = rows.map(({ key }) => key.slice('trail/'.length).replace('/', '-'))
    expect(places.sort()).toEqual(events.map(({ event }) => event?.id).sort())
  })

  it('that are written twice have one id', async () => {
    const { store } = await openRoom()
    await told(store, 7, 7, 8)
    const ids = (await openEvents({ store }).read(0, 10)).map(({ event }) => event?.id)
    expect(ids[0]).toBe(ids[1])
    expect(ids[2]).not.toBe(ids[0])
  })

  it('are not kept where nobody asks for them', async () => {
    const { store } = await openRoom()
    await store.commit(openTrail({ store }).steps('m', [{ at: 1, step: 'sent', detail: '' }]))
    expect(await store.log(eventLog, 1, 10)).toEqual([])
  })

  it('are found by their end, and by their time, however out of order', async () => {
    const { store } = await openRoom()
    const events = openEvents({ store })
    expect(await events.last()).toBe(0)
    expect(await events.before(0)).toBe(0)
    const minute = 60_000
    const times = Array.from({ length: 90 }, (_, i) => i * minute + (i % 3 === 0 ? -5 * minute : 0) + 10 * minute)
    await told(store, ...times)
    for (const known of [0, 1, 64, 90]) expect(await events.last(known)).toBe(90)
    for (const at of times) {
      const before = await events.before(at)
      expect(times.slice(0, before).every((earlier) => earlier < at)).toBe(true)
      expect(times[before] ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(at - eventLimits.disorderMs)
    }
    expect(await events.before(Number.MAX_SAFE_INTEGER)).toBe(90)
  })

  it('that are damaged are left out, and nothing else is', async () => {
    const { store } = await openRoom()
    await told(store, 1)
    await store.commit({ append: [{ log: eventLog, value: Buffer.from('{"half') }] })
    await told(store, 2)
    const events = await openEvents({ store }).read(0, 10)
    expect(events.map(({ sequence, event }) => [sequence, event?.at])).toEqual([
      [1, 1],
      [2, undefined],
      [3, 2],
    ])
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => void readEvent(bytes),
      ),
      { numRuns: 2_000 },
    )
  })
})

/** Everything that events say, in one text. */
async function allOf(store: Store): Promise<string> {
  const entries = await store.log(eventLog, 1, 10_000)
  return entries.map(({ value }) => Buffer.from(value).toString()).join('\n')
}

describe('no event says', () => {
  const canaries = ['Canarina', 'Serinus', 'subjectcanary', 'bodycanary', 'idcanary', 'namecanary', 'filecanary', 'CN=']
  const header = 'Comments: Serinus\r\nReferences: <idcanary@clinic.example>\r\n'
  const content = (type: string) =>
    `Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: ${type}\r\n\r\nbodycanary\r\n--b\r\nContent-Type: text/xml; name="filecanary.xml"\r\nContent-Disposition: attachment; filename="filecanary.xml"\r\n\r\n<ClinicalDocument xmlns="urn:hl7-org:v3"><title>bodycanary</title></ClinicalDocument>\r\n--b--\r\n`
  const planted = (text: string) =>
    text
      .replace('Subject: Test', 'Subject: subjectcanary')
      .replace('Subject: Secret subject', 'Subject: subjectcanary')
      .replace(/From: <([^>]*)>/, 'From: "Canarina namecanary" <$1>')
      .replace(/Message-ID: <[^>]*>/, 'Message-ID: <idcanary@clinic.example>')

  it('what a message that came in says, trusted or refused', async () => {
    const { gateway } = await newGateway()
    const dnt = `${header}Disposition-Notification-To: <doctor@clinic.example>\r\n`
    await accept(
      gateway,
      seal({ message: planted(write({ to: [alice, bob], header: dnt, content: content('text/plain') })) }),
      [alice, bob],
    )
    await work(gateway)
    for (const { owner, id } of await gateway.directory.anchors.list())
      await gateway.directory.anchors.remove(owner, id, 'test')
    const second = planted(write({ id: '2', header, content: content('text/html') }))
    const id = await accept(gateway, seal({ message: second }))
    await accept(gateway, seal({ message: second }))
    await accept(gateway, Buffer.from(`${planted(write({ header }))}namecanary`))
    await work(gateway)
    const again = await gateway.quarantine.judgeAgain(id)
    if (again) await gateway.store.commit(again)
    const text = await allOf(gateway.store)
    const [stored] = await messagesOf(gateway, alice)
    expect(text).toContain(`"mailboxMessageId":"${stored?.id}"`)
    for (const step of [
      'accepted',
      'opened',
      'verified',
      'trusted',
      'delivered',
      'notice-owed',
      'refused',
      'judged-again',
    ])
      expect(text).toContain(`"step":"${step}"`)
    for (const canary of canaries) expect(text).not.toContain(canary)
  })

  it('what a message that goes out says, sent or failed', async () => {
    const { gateway } = await newSending()
    await done(
      gateway.directory.anchors.add(
        { owner: domain, certificate: gatewayAuthority.certificate, direction: 'both' },
        'test',
      ),
    )
    const text = planted(letter(alice, [bob, 'nobody@far.example'], { header, body: 'bodycanary' }))
    const sent = await submitTo(gateway, alice, [bob, 'nobody@far.example' as DirectAddress], { text })
    expect(sent.kind).toBe('submitted')
    await sendDue(gateway)
    await deliverDue(gateway, (recipients) => [
      { kind: 'failed', host: 'mx.example', detail: '550 5.1.1 no', to: recipients },
    ])
    const all = await allOf(gateway.store)
    for (const step of ['accepted', 'trusted', 'queued', 'failed']) expect(all).toContain(`"step":"${step}"`)
    for (const canary of canaries) expect(all).not.toContain(canary)
  })
})
