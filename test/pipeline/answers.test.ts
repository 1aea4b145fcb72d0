import { describe, expect, it } from 'vitest'
import { readAudit } from '../../src/audit/audit.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { gather } from '../../src/ports/body.js'
import { alice, bob, storyOf } from '../fixtures/gateway.js'
import { letter, newSending, queued, type Sending, sendDue, statesOf, submitTo } from '../fixtures/sending.js'
import {
  answered,
  arrives,
  type FarNotice,
  far,
  farNotice,
  sending,
  told,
  trackDue,
  world,
} from '../fixtures/tracking.js'
import { checkHome } from '../upkeep/world.js'

const doctor = far('doctor')

async function stateOf(gateway: Sending, id: string, recipient: DirectAddress = doctor) {
  return (await statesOf(gateway, alice, id))[recipient]
}

async function swallowed(gateway: Sending): Promise<string[]> {
  const log = await readAudit(gateway.store, 1, 1000)
  return log.flatMap(({ entry }) => (entry?.action === 'notice.swallowed' ? [entry.reason ?? ''] : []))
}

/** One message, answered by these notices in turn. */
async function answeredBy(
  asks: 'nothing' | 'processed' | 'dispatched',
  notices: readonly (readonly [disposition: string, notice?: FarNotice])[],
  to: readonly DirectAddress[] = [doctor],
) {
  const { gateway, disk } = await newSending(world)
  const id = await sending(gateway, { asks, to })
  for (const [disposition, notice] of notices) await answered(gateway, farNotice(disposition, notice))
  return { gateway, disk, id, state: await stateOf(gateway, id, to[0]), told: await told(gateway) }
}

const fields = (all: Record<string, string>): FarNotice => ({ fields: all })

describe('a notice from the far side', () => {
  it('says processed: noted, and told to the sender only where he asked for that alone', async () => {
    expect(await answeredBy('nothing', [['processed']])).toMatchObject({ state: 'processed', told: [] })
    expect(await answeredBy('processed', [['processed']])).toMatchObject({
      ...{ state: 'processed', told: [`mdn processed ${doctor}`] },
    })
    expect(await answeredBy('dispatched', [['processed']])).toMatchObject({ state: 'processed', told: [] })
  })

  it('says dispatched: told where it was asked for and carries the extension field, and else counts as processed', async () => {
    const dispatched = [`mdn dispatched ${doctor}`]
    expect(await answeredBy('dispatched', [['processed'], ['dispatched']])).toMatchObject({
      state: 'dispatched',
      told: dispatched,
    })
    const bare = fields({ 'X-DIRECT-FINAL-DESTINATION-DELIVERY': '' })
    expect(await answeredBy('dispatched', [['dispatched', bare]])).toMatchObject({ state: 'processed', told: [] })
    expect(await answeredBy('nothing', [['dispatched']])).toMatchObject({ state: 'processed', told: [] })
    expect(await answeredBy('processed', [['dispatched'], ['processed']])).toMatchObject({
      state: 'processed',
      told: dispatched,
    })
  })

  it('is told once, in any order and however often it comes', async () => {
    const all = await answeredBy('dispatched', [['dispatched'], ['processed'], ['dispatched'], ['dispatched']])
    expect(all).toMatchObject({ state: 'dispatched', told: [`mdn dispatched ${doctor}`] })
    expect(await swallowed(all.gateway)).toEqual(['late', 'late', 'late'])
    const twice = farNotice('dispatched', { unique: 'same' })
    const { gateway } = await newSending(world)
    await sending(gateway, { asks: 'dispatched' })
    expect(await answered(gateway, twice)).toBe(await answered(gateway, twice))
    expect(await told(gateway)).toEqual([`mdn dispatched ${doctor}`])
  })

  it('does not end a message by the extension field on another disposition', async () => {
    const more = fields({ 'X-DIRECT-FINAL-DESTINATION-DELIVERY': ' ' })
    expect(await answeredBy('dispatched', [['processed', more]])).toMatchObject({ state: 'processed', told: [] })
  })

  it.each([
    ['failed', {}],
    ['failure', {}],
    ['denied', {}],
    ['processed/error', {}],
    [
      '',
      {
        dsn: `Reporting-MTA: dns;far\r\nX-Original-Message-ID: <m1@x>\r\n\r\nFinal-Recipient: rfc822;${doctor}\r\nAction: failed\r\nStatus: 5.2.1\r\n`,
      },
    ],
  ] as const)('says %o that it failed: told by one notice of ours', async (disposition, notice) => {
    for (const asks of ['nothing', 'processed', 'dispatched'] as const) {
      const { gateway, id, state, told } = await answeredBy(asks, [
        [disposition, notice],
        [disposition, notice],
        ['dispatched'],
      ])
      expect({ state, told }, asks).toEqual({ state: 'failed reported-failed', told: [`dsn failed ${doctor}`] })
      const { mailbox = '' } = (await gateway.directory.addresses.get(alice)) ?? {}
      const [one] = (await gateway.submissions.get(mailbox, id))?.submission.recipients ?? []
      expect(one?.status).toBe(disposition === '' ? '5.2.1' : '5.0.0')
      expect(one?.moments).toMatchObject({
        waiting: expect.any(Number),
        queued: expect.any(Number),
        sent: expect.any(Number),
      })
    }
  })

  it('says failed after processed: still told, since nobody has it; not after dispatched', async () => {
    expect(await answeredBy('dispatched', [['processed'], ['failed']])).toMatchObject({
      told: [`dsn failed ${doctor}`],
    })
    expect(await answeredBy('nothing', [['processed'], ['failed']])).toMatchObject({ told: [`dsn failed ${doctor}`] })
    expect(await answeredBy('dispatched', [['dispatched'], ['failed']])).toMatchObject({
      told: [`mdn dispatched ${doctor}`],
    })
  })

  it('comes before delivery wrote that the message was sent', async () => {
    const { gateway } = await newSending(world)
    const id = await sending(gateway, { asks: 'processed', until: 'queued' })
    await answered(gateway, farNotice('processed'))
    expect(await stateOf(gateway, id)).toBe('processed')
    await arrives(gateway)
    expect(await stateOf(gateway, id)).toBe('processed')
    expect(await told(gateway)).toEqual([`mdn processed ${doctor}`])
  })

  it('answers one who is not looked up yet with nothing: he cannot have the message', async () => {
    const { gateway } = await newSending(world)
    const id = await sending(gateway, { asks: 'processed', until: 'submitted' })
    await answered(gateway, farNotice('processed'))
    expect(await stateOf(gateway, id)).toBe('waiting')
    expect(await swallowed(gateway)).toEqual(['unmatched'])
  })
})

describe('whom a notice speaks of', () => {
  const matches: readonly (readonly [string, FarNotice])[] = [
    ['no space behind the type', fields({ 'Final-Recipient': `rfc822;${doctor}` })],
    ['any case', fields({ 'Final-Recipient': `RFC822;DOCTOR@FAR.EXAMPLE` })],
    ['many spaces', fields({ 'Final-Recipient': `  rfc822  ;   ${doctor}  ` })],
    ['angle brackets', fields({ 'Final-Recipient': `rfc822; <${doctor}>` })],
    ['a message id without brackets', fields({ 'Original-Message-ID': 'm1@x' })],
    ['a folded message id', fields({ 'Original-Message-ID': '\r\n <m1@x>' })],
    ['an odd disposition', fields({ Disposition: ' automatic-action / MDN-sent-automatically ;\r\n  Processed' })],
    ['Original-Recipient alone', fields({ 'Final-Recipient': '', 'Original-Recipient': `rfc822;${doctor}` })],
    [
      'an alias behind the address',
      fields({ 'Final-Recipient': 'rfc822;x@inside.example', 'Original-Recipient': `rfc822;${doctor}` }),
    ],
    ['neither, signed by the recipient', fields({ 'Final-Recipient': '' })],
    [
      'a postmaster of the same domain',
      { from: far('postmaster'), ...fields({ 'Final-Recipient': `rfc822;${doctor}` }) },
    ],
    [
      'a gateway of another domain',
      { from: far('hisp', 'third.example'), ...fields({ 'Final-Recipient': `rfc822;${doctor}` }) },
    ],
    ['a tag that we did not write', fields({ 'Final-Recipient': `rfc822;doctor+inbox@far.example` })],
  ]
  it.each(matches)('is found: %s', async (_, notice) => {
    expect((await answeredBy('processed', [['processed', notice]])).state).toBe('processed')
  })

  const strangers: readonly (readonly [string, FarNotice, string])[] = [
    ['another message id', fields({ 'Original-Message-ID': '<m2@x>' }), 'unmatched'],
    ['another case in the message id', fields({ 'Original-Message-ID': '<M1@x>' }), 'unmatched'],
    ['another recipient', fields({ 'Final-Recipient': 'rfc822;nurse@far.example' }), 'unmatched'],
    ['no disposition', fields({ Disposition: '' }), 'meaningless'],
    ['two dispositions', fields({ Disposition: 'a/b;processed\r\nDisposition: a/b;failed' }), 'meaningless'],
    ['a word that nobody knows', fields({ Disposition: 'a/b;pondered' }), 'meaningless'],
    [
      'a delay',
      {
        dsn: `X-Original-Message-ID: <m1@x>\r\n\r\nFinal-Recipient: rfc822;${doctor}\r\nAction: delayed\r\nStatus: 4.0.0\r\n`,
      },
      'meaningless',
    ],
    ['an empty report', { dsn: 'Reporting-MTA: dns;far\r\n' }, 'meaningless'],
  ]
  it.each(strangers)('is not found, and the notice is swallowed: %s', async (_, notice, reason) => {
    const { gateway, state, told } = await answeredBy('processed', [['processed', notice]])
    expect({ state, told, swallowed: await swallowed(gateway) }).toEqual({
      state: 'sent',
      told: [],
      swallowed: [reason],
    })
  })

  it('is never somebody of another gateway that got the same message', async () => {
    const other = far('nurse', 'other.example')
    for (const disposition of ['processed', 'dispatched']) {
      const forged: FarNotice = { from: other, ...fields({ 'Final-Recipient': `rfc822;${doctor}` }) }
      const { gateway, state, told } = await answeredBy('dispatched', [[disposition, forged]], [doctor, other])
      expect({ state, told, swallowed: await swallowed(gateway) }).toEqual({
        state: 'sent',
        told: [],
        swallowed: ['foreign'],
      })
    }
    const denied = await answeredBy(
      'dispatched',
      [['failed', { from: other, ...fields({ 'Final-Recipient': `rfc822;${doctor}` }) }]],
      [doctor, other],
    )
    expect(denied).toMatchObject({ state: 'sent', told: [`mdn failed ${doctor}`] })
  })

  it('is each of a message in pieces, and each recipient for himself', async () => {
    const other = far('nurse', 'other.example')
    const { gateway, disk } = await newSending(world)
    const first = await sending(gateway, { asks: 'dispatched', to: [doctor] })
    const second = await sending(gateway, { asks: 'dispatched', to: [other, far('x')] })
    await answered(gateway, farNotice('dispatched', { from: other }))
    await answered(gateway, farNotice('processed'))
    expect(await statesOf(gateway, alice, first)).toEqual({ [doctor]: 'processed' })
    expect(await statesOf(gateway, alice, second)).toEqual({ [other]: 'dispatched', [far('x')]: 'sent' })
    expect(await checkHome(disk, gateway).findings()).toMatchObject({ findings: [] })
  })

  it('is the one with the tag, where two share a mailbox only as written', async () => {
    const [a, b] = [far('doctor+a'), far('doctor+b')]
    const { gateway } = await newSending(world)
    const id = await sending(gateway, { asks: 'processed', to: [a, b] })
    await answered(gateway, farNotice('processed', fields({ 'Final-Recipient': `rfc822;${doctor}` })))
    await answered(gateway, farNotice('processed', fields({ 'Final-Recipient': `rfc822;${b}` })))
    expect(await statesOf(gateway, alice, id)).toEqual({ [a]: 'sent', [b]: 'processed' })
  })

  it('may be several in one delivery status notification', async () => {
    const other = far('nurse')
    const group = (who: DirectAddress, action: string, status: string) =>
      `\r\nFinal-Recipient: rfc822;${who}\r\nAction: ${action}\r\nStatus: ${status}\r\n`
    const dsn = `X-Original-Message-ID: <m1@x>\r\n${group(doctor, 'failed', '5.1.1')}${group(other, 'delivered', '2.0.0')}`
    const { gateway, id, told } = await answeredBy('nothing', [['', { dsn }]], [doctor, other])
    expect(await statesOf(gateway, alice, id)).toEqual({ [doctor]: 'failed reported-failed', [other]: 'processed' })
    expect(told).toEqual([`dsn failed ${doctor}`])
  })
})

describe('notices beside the one that is waited for', () => {
  it('are swallowed where they say that all is well, and are mail where something is not, or a person speaks', async () => {
    const { gateway } = await newSending(world)
    for (const word of ['processed', 'dispatched', 'failed', 'displayed']) await answered(gateway, farNotice(word))
    expect(await told(gateway)).toEqual([`mdn failed ${doctor}`, `mdn displayed ${doctor}`])
    expect(await swallowed(gateway)).toEqual(['unmatched', 'unmatched'])
  })

  it('are told that somebody read it, and count it as processed', async () => {
    expect(await answeredBy('dispatched', [['displayed']])).toMatchObject({
      state: 'processed',
      told: [`mdn displayed ${doctor}`],
    })
    expect(await answeredBy('dispatched', [['dispatched'], ['displayed']])).toMatchObject({
      ...{ state: 'dispatched', told: [`mdn dispatched ${doctor}`, `mdn displayed ${doctor}`] },
    })
  })

  it('come to the address that the message names, and count for the one who sent it', async () => {
    const { gateway } = await newSending(world)
    const header = `Disposition-Notification-To: <${bob}>\r\n`
    const sent = await submitTo(gateway, alice, [doctor], { text: letter(alice, [doctor], { header }) })
    if (sent.kind === 'refused') throw new Error(sent.detail)
    await sendDue(gateway)
    await arrives(gateway)
    await answered(gateway, farNotice('processed', { to: [bob] }), [bob])
    expect(await stateOf(gateway, sent.id)).toBe('processed')
    expect([await told(gateway), await told(gateway, bob)]).toEqual([[], [`mdn processed ${doctor}`]])
  })

  it('never go past this gateway: a message whose answers would loses the fields that say so', async () => {
    const { gateway } = await newSending(world)
    const header =
      'Disposition-Notification-To: <else@where.example>\r\nDisposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n'
    const sent = await submitTo(gateway, alice, [doctor], { text: letter(alice, [doctor], { header }) })
    if (sent.kind === 'refused') throw new Error(sent.detail)
    const { mailbox = '' } = (await gateway.directory.addresses.get(alice)) ?? {}
    const stored = await gateway.submissions.get(mailbox, sent.id)
    expect(stored?.submission.asks).toBeUndefined()
    const kept = Buffer.from(await gather((await gateway.submissions.message(mailbox, sent.id)) ?? [])).toString()
    expect(kept).not.toMatch(/disposition-notification/i)
    expect(kept).toContain('All is well.')
  })

  it('leave both trails, each naming the other', async () => {
    const { gateway, pass } = await newSending(world)
    const id = await sending(gateway, { asks: 'dispatched' })
    const spools: string[] = []
    for (const word of ['processed', 'dispatched', 'dispatched']) {
      pass(1000)
      spools.push(await answered(gateway, farNotice(word)))
    }
    const steps = (await gateway.trail.read(id)).filter(({ at }) => at > Date.now() - 60_000).slice(4)
    expect(steps.map(({ step }) => step)).toEqual(['processed', 'dispatched', 'swallowed'])
    steps.forEach((step, i) => {
      expect(step.detail).toContain(spools[i])
    })
    expect(await storyOf(gateway, spools[0] ?? '')).toContain(`swallowed ${alice}`)
    expect(await storyOf(gateway, spools[1] ?? '')).toContain(`delivered ${alice}`)
    expect((await gateway.trail.read(spools[2] ?? '')).at(-1)).toMatchObject({ step: 'swallowed' })
  })

  it('that are sent by somebody here are tracked by nobody, and go under the null reverse-path', async () => {
    const { gateway } = await newSending(world)
    const text = `From: <${alice}>\r\nTo: <${doctor}>\r\nMessage-ID: <n@x>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822;${alice}\r\nOriginal-Message-ID: <q@far.example>\r\nDisposition: manual-action/MDN-sent-manually;displayed\r\n\r\n--b--\r\n`
    await submitTo(gateway, alice, [doctor, far('x', 'unknown.example')], { text })
    await sendDue(gateway)
    expect(await queued(gateway)).toMatchObject([{ from: null, to: [doctor] }])
    expect(await trackDue(gateway)).toBe(0)
    expect(await gateway.store.jobs('tracking', 10)).toEqual([])
    expect(await told(gateway)).toEqual([])
  })
})
