import type { EdgeAccount } from '../directory/directory.js'
import type { SmtpLimits } from './limits.js'
import { type Reply, replies } from './replies.js'
import type { Role } from './role.js'
import { beginExchange, type Turn } from './sasl.js'

/** AUTH of one session (RFC 4954 §4). The library's own decodes what is no base64. */
export interface Auth {
  /** Who authenticated. */
  account(): EdgeAccount | undefined
  /** Whether the next line belongs to an exchange that has begun. */
  asks(): boolean
  /** Hears the AUTH command, and answers it. `greeted`: EHLO was said. */
  begin(line: Buffer, greeted: boolean): Promise<Reply>
  /** Hears the next line of the exchange, and answers it. */
  proceed(line: Buffer): Promise<Reply>
}

export function openAuth(
  limits: Pick<SmtpLimits, 'authLineBytes'>,
  address: string,
  authenticate: NonNullable<Role['authenticate']>,
): Auth {
  let account: EdgeAccount | undefined
  let asked: Extract<Turn, { kind: 'ask' }> | undefined

  async function take(turn: Turn): Promise<Reply> {
    switch (turn.kind) {
      case 'refused':
        return turn.reply
      case 'ask':
        asked = turn
        return { code: 334, text: turn.challenge }
      case 'credentials': {
        const outcome = await authenticate(turn.credentials, address)
        if (outcome.kind === 'refused') return outcome.reply
        account = outcome.account
        return replies.authenticated
      }
    }
  }

  return {
    account: () => account,
    asks: () => asked !== undefined,
    async begin(line, greeted) {
      if (line.length > limits.authLineBytes) return replies.authTooLong
      if (!greeted) return replies.helloFirst
      if (account) return replies.authTwice
      return take(beginExchange(line.toString('latin1').slice('AUTH'.length)))
    },
    async proceed(line) {
      const turn = asked
      asked = undefined
      if (line.length > limits.authLineBytes) return replies.authTooLong
      return turn ? take(turn.answer(line.toString('latin1'))) : replies.authUndecodable
    },
  }
}
