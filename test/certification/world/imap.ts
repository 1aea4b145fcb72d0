import { gone, openWire, silent, type Wire, type WireOptions } from './wire.js'

/** IMAP4rev1 (RFC 3501) as a client says it, one command after the other, on a bare socket. */
export interface Imap {
  readonly greeting: string
  /** One command under a tag of its own: `UID FETCH 1 (BODY.PEEK[])`. */
  say(command: string): Promise<ImapAnswer>
  /** STARTTLS and the handshake; the answer in the clear. */
  startTls(ca: string | Buffer): Promise<ImapAnswer>
  protocol(): string | undefined
  close(): void
}

export interface ImapAnswer {
  /** `OK`, `NO`, `BAD`; what stands for a line where none came. */
  readonly status: string
  /** What follows the status. */
  readonly text: string
  /** Lines without the tag, before it; `{n}` where a literal stood. */
  readonly untagged: readonly string[]
  readonly literals: readonly Buffer[]
}

/** Connects and hears the greeting. */
export async function openImap(port: number, options: WireOptions = {}): Promise<Imap> {
  const wire = await openWire(port, options)
  const greeting = await wire.line()
  let tags = 0
  async function say(command: string): Promise<ImapAnswer> {
    const tag = `t${++tags}`
    wire.write(`${tag} ${command}\r\n`)
    return answerTo(wire, tag)
  }
  return {
    greeting,
    say,
    async startTls(ca) {
      const answer = await say('STARTTLS')
      if (answer.status === 'OK') await wire.secure(ca)
      return answer
    },
    protocol: wire.protocol,
    close: wire.close,
  }
}

async function answerTo(wire: Wire, tag: string): Promise<ImapAnswer> {
  const untagged: string[] = []
  const literals: Buffer[] = []
  for (;;) {
    let line = await wire.line()
    if (line === gone || line === silent) return { status: line, text: '', untagged, literals }
    // RFC 3501 §4.3: after `{n}` come n bytes, and then the line goes on.
    for (let count = literalOf(line); count !== undefined; count = literalOf(line)) {
      literals.push(await wire.take(count))
      line += ` ${await wire.line()}`
    }
    const [, status = '', text = ''] = new RegExp(`^${tag} (\\S+) ?(.*)$`, 's').exec(line) ?? []
    if (status !== '') return { status, text, untagged, literals }
    untagged.push(line)
  }
}

function literalOf(line: string): number | undefined {
  const count = /\{(\d+)\}$/.exec(line)?.[1]
  return count === undefined ? undefined : Number(count)
}

/** A quoted string (RFC 3501 §4.3). */
export const quoted = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`

/** Every message of the inbox, as it is kept, by STARTTLS and LOGIN. Throws where the server says no. */
export async function readImap(
  port: number,
  ca: string | Buffer,
  account: string,
  secret: string,
): Promise<readonly Buffer[]> {
  const imap = await openImap(port)
  const must = async (answer: Promise<ImapAnswer>) => {
    const { status, text, literals } = await answer
    if (status !== 'OK') throw new Error(`IMAP said ${status} ${text}`)
    return literals
  }
  try {
    await must(imap.startTls(ca))
    await must(imap.say(`LOGIN ${quoted(account)} ${quoted(secret)}`))
    await must(imap.say('SELECT INBOX'))
    const messages = await must(imap.say('UID FETCH 1:* (BODY.PEEK[])'))
    await imap.say('LOGOUT')
    return messages
  } finally {
    imap.close()
  }
}
