import type { Dovecot } from './dovecot.js'
import { messageOf, openPop } from './pop.js'

/** Every message of the mailbox that an account reads over POP3, by STLS, USER and PASS; nothing is removed. Throws where it says no. */
export async function readPop(
  { popPort, ca }: Pick<Dovecot, 'popPort' | 'ca'>,
  account: string,
  secret: string,
): Promise<readonly Buffer[]> {
  const pop = await openPop(popPort)
  const must = (answer: string) => {
    if (!answer.startsWith('+OK')) throw new Error(`POP3 said ${answer}`)
    return answer
  }
  try {
    must(await pop.startTls(ca))
    must(await pop.say(`USER ${account}`))
    must(await pop.say(`PASS ${secret}`))
    const count = Number(/^\+OK (\d+)/.exec(must(await pop.say('STAT')))?.[1])
    const messages: Buffer[] = []
    for (let n = 1; n <= count; n++) {
      const { first, lines } = await pop.ask(`RETR ${n}`)
      must(first)
      messages.push(messageOf(lines))
    }
    await pop.say('QUIT')
    return messages
  } finally {
    pop.close()
  }
}
