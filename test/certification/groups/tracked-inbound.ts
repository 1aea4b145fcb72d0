import { setTimeout as sleep } from 'node:timers/promises'
import { openMail } from '../../../src/demo/mail.js'
import { wants } from '../finding.js'
import { type Notice, readNotice } from '../world/notice.js'
import { messageIdIn } from '../world/told.js'
import { compose, type Draft, type Letter, senderOf } from './letters.js'
import type { Tracked } from './tracked.js'
import { farDomain } from './tracked-letters.js'
import { faultsOfMail, receivers, type TrackedWorld } from './tracked-world.js'

/** What comes from outside for addresses that have a system of their own: what its sender is told, and when. */
interface Incoming {
  readonly caseId: string
  readonly about: string
  readonly to: string
  readonly header: readonly string[]
  /** The notices that its sender gets, in alphabetical order. */
  readonly notices: string
}

const final = (value: string) => `Disposition-Notification-Options: ${value}`
const good = final('X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true')
const [both, failedToo] = ['dispatched processed', 'failed processed']

const incoming: readonly Incoming[] = [
  { caseId: 'MT39', about: '', to: receivers.taken, header: [good], notices: both },
  ...[
    ['another name', 'X-XXXX-FINAL-X-DELXXXX=optioXXX,tXX'],
    ['mistyped', 'X-DIRECT-FINAL-DESTINATION-DELIVERY=optioXXX,tXX'],
    ['not true', 'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,false'],
  ].map(([about = '', value = '']) => ({
    ...{ caseId: 'MT40', about, to: receivers.taken },
    ...{ header: [final(value)], notices: 'processed' },
  })),
  { caseId: 'MT41', about: 'refused', to: receivers.refused, header: [], notices: failedToo },
  { caseId: 'MT41', about: 'refused, asked for', to: receivers.refused, header: [good], notices: failedToo },
  { caseId: 'MT41', about: 'nobody there', to: receivers.gone, header: [good], notices: failedToo },
]

/** Sends them, waits for the notices, and judges each after a quiet time. */
export async function received(world: TrackedWorld): Promise<readonly Tracked[]> {
  const { measure, openssl, seals, far, gateway } = world
  const wanted = incoming.filter(({ caseId }) => wants(measure, caseId))
  const letters = await Promise.all(
    wanted.map(async (one): Promise<readonly [Incoming, Letter]> => {
      const { caseId, about, to } = one
      const notify = `Disposition-Notification-To: <${senderOf(caseId, about, farDomain)}>`
      const header = one.header.length > 0 ? [notify, ...one.header] : []
      const draft: Draft = { about, to, header, domain: farDomain, signers: [seals.far], expect: 'processed' }
      return [one, await compose(openssl, seals.gateway, caseId, draft)]
    }),
  )
  const replies = new Map<Letter, string>()
  for (const [, letter] of letters) {
    const session = await openMail(gateway().smtpPort)
    replies.set(letter, await session.send(letter.from, [letter.to], letter.wire))
    session.close()
  }
  const answersTo = ({ from }: Letter) => far.caught.filter(({ to }) => to.some((one) => one.toLowerCase() === from))
  const owed = ({ notices }: Incoming) => notices.split(' ').length
  const limit = Date.now() + 45_000
  while (Date.now() < limit && letters.some(([one, letter]) => answersTo(letter).length < owed(one))) await sleep(300)
  await sleep(measure.quietMs)
  return Promise.all(
    letters.map(async ([one, letter]): Promise<Tracked> => {
      const caught = answersTo(letter)
      const notices = await Promise.all(
        caught.map((mail) => readNotice(openssl, mail, seals.far, world.ours.certificatePath, letter.to)),
      )
      const lint = await Promise.all(caught.map(({ wire }) => faultsOfMail(wire, seals.far)))
      const label = one.about === '' ? '' : `${one.about}: `
      const told = toldIn(notices)
      const faults = [
        ...lint.flat(),
        ...notices.flatMap(({ faults: own }) => own),
        ...faultsOf(one, letter, replies.get(letter) ?? '', told, notices),
        ...(await faultsOfDelivery(world, one, letter)),
      ]
      return { caseId: one.caseId, words: `${label}${told || 'no notice'}`, faults }
    }),
  )
}

const toldIn = (notices: readonly Notice[]) =>
  notices
    .map(({ disposition }) => disposition || 'unreadable')
    .sort()
    .join(' ')

function faultsOf(
  one: Incoming,
  letter: Letter,
  reply: string,
  told: string,
  notices: readonly Notice[],
): readonly string[] {
  const wrong = reply.startsWith('250') ? [] : [`was refused: ${reply}`]
  if (told !== one.notices) wrong.push(`the notices are ${told || 'none'}, not ${one.notices}`)
  if (notices.some(({ originalMessageId }) => originalMessageId !== letter.messageId))
    wrong.push('a notice about another message')
  return wrong
}

/** Everything is kept here; what its system takes, it gets once and as it was written, over TLS and after AUTH. */
async function faultsOfDelivery(
  { system, gateway }: TrackedWorld,
  { to }: Incoming,
  { messageId, original }: Letter,
): Promise<readonly string[]> {
  const wrong: string[] = []
  const kept = (await gateway().messages(to)).filter((one) => one.messageId === messageId)
  if (kept.length !== 1) wrong.push(`its mailbox holds it ${kept.length} times`)
  const pushed = system.caught.filter(({ wire }) => `<${messageIdIn(wire.toString('latin1'))}>` === messageId)
  if (pushed.length !== (to === receivers.taken ? 1 : 0)) wrong.push(`its system has it ${pushed.length} times`)
  for (const { wire, encrypted, user, to: reached } of pushed) {
    if (!encrypted || user !== system.login.username) wrong.push('was pushed without TLS or AUTH')
    if (reached.join() !== to) wrong.push(`was pushed for ${reached.join(' ')}`)
    if (!wire.toString('latin1').includes(original.toString('latin1').trimEnd()))
      wrong.push('what was pushed is not what was written')
  }
  return wrong
}
