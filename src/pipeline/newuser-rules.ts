import { createHash, timingSafeEqual } from 'node:crypto'
import type { KindRules, RequestEnd } from '../connect/request.js'
import type { Held } from '../mailbox/held.js'
import type { Audit } from '../ports/audit.js'
import { together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type { Trail } from '../spool/trail.js'
import { readBirthDate } from './newuser-patient.js'
import type { NoticeFacts, Notices } from './notices.js'

/** What the sender reads when nobody gets his message; each is the last that he hears of it. */
const failures: Partial<Record<RequestEnd, string>> = {
  expired: 'Nobody came for the message in time.',
  locked: 'Nobody could prove that the message is for them.',
  refused: 'The person did not accept the message.',
  withdrawn: 'The message was taken back.',
}

/**
 * What the machine of codes does for held mail: where the sender asked no question, the answer is the birth date that his
 * documents have; and every end but a claim tells him `failed`, in the commit of that end, and leaves nothing of the message.
 */
export function newcomerRules({
  held,
  notices,
  trail,
  audit,
  clock,
}: {
  readonly held: Held<NoticeFacts>
  readonly notices: Pick<Notices, 'owe'>
  readonly trail: Pick<Trail, 'steps'>
  readonly audit: Audit
  readonly clock: Clock
}): KindRules {
  return {
    async verify({ birthDate }, answer) {
      const said = readBirthDate(answer)
      if (birthDate === undefined || said === undefined) return { kind: 'wrong' }
      const same = timingSafeEqual(sha256(birthDate), sha256(said))
      return { kind: same ? 'right' : 'wrong' }
    },
    async ended({ payload }, end) {
      const found = await held.get(payload['held'] ?? '')
      if (!found) return {}
      if (end === 'purged') return found.state === 'held' ? {} : held.forget(found)
      const failure = failures[end]
      if (failure === undefined || found.state !== 'held') return {}
      const { spoolId, recipient, facts } = found.mail
      const at = clock.now()
      return together(
        await held.end(found, 'failed'),
        facts ? await notices.owe('failed', facts, { trail: spoolId, messageId: found.id, failure }) : {},
        trail.steps(spoolId, [
          { at, step: 'failed', recipient, detail: `${found.id}: ${end}` },
          ...(facts ? [{ at, step: 'notice-owed', recipient, detail: `failed, to ${facts.to}` } as const] : []),
        ]),
        {
          append: [
            audit.entry({
              ...{ at, action: 'message.unclaimed', actor: 'system', outcome: 'failed', reason: end },
              subject: { spool: spoolId, held: found.id, recipient },
            }),
          ],
        },
      )
    },
  }
}

const sha256 = (text: string) => createHash('sha256').update(text).digest()
