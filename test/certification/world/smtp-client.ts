import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { gone, openWire, silent, type WireOptions } from './wire.js'

/** SMTP (RFC 5321) and LMTP (RFC 2033) as a client says them, on a bare socket: whatever is said goes out as it stands. */
export interface Smtp {
  readonly greeting: string
  /** Sends these bytes as they are, and hears nothing. */
  write(bytes: string | Uint8Array): void
  /** A whole reply, its lines joined by `\n`; `gone` or `silent` where none comes. */
  reply(withinMs?: number): Promise<string>
  /** One command and its reply. */
  say(command: string, withinMs?: number): Promise<string>
  /** STARTTLS and the handshake; the reply in the clear. */
  startTls(ca: string | Buffer): Promise<string>
  /** The handshake alone. */
  secure(ca: string | Buffer): Promise<void>
  protocol(): string | undefined
  close(): void
}

/** Connects and hears the greeting. */
export async function openSmtp(port: number, options: WireOptions = {}): Promise<Smtp> {
  const wire = await openWire(port, options)
  async function reply(withinMs?: number): Promise<string> {
    const lines: string[] = []
    for (;;) {
      const line = await wire.line(withinMs)
      if (line === gone || line === silent) return line
      lines.push(line)
      if (line[3] !== '-') return lines.join('\n')
    }
  }
  const say = (command: string, withinMs?: number) => {
    wire.write(`${command}\r\n`)
    return reply(withinMs)
  }
  return {
    greeting: await reply(),
    write: wire.write,
    reply,
    say,
    async startTls(ca) {
      const answer = await say('STARTTLS')
      if (answer.startsWith('220')) await wire.secure(ca)
      return answer
    },
    secure: wire.secure,
    protocol: wire.protocol,
    close: wire.close,
  }
}

/** The initial response of AUTH PLAIN (RFC 4616). */
export const plainOf = (account: string, secret: string) => Buffer.from(`\0${account}\0${secret}`).toString('base64')

/** Content as it goes after 354 (RFC 5321 §4.5.2), its end included. */
export function dotted(content: string | Uint8Array): Buffer {
  const text = Buffer.from(content).toString('latin1').replace(/^\./gm, '..')
  return Buffer.from(`${text.endsWith('\r\n') ? text : `${text}\r\n`}.\r\n`, 'latin1')
}

/** Hands one message in over STARTTLS and AUTH PLAIN; answers the last reply, or the first that is no success. */
export async function submitted(
  port: number,
  ca: string | Buffer,
  login: { readonly account: string; readonly secret: string },
  mail: { readonly from: string; readonly to: readonly string[]; readonly content: string | Uint8Array },
): Promise<string> {
  const smtp = await openSmtp(port)
  try {
    const steps: (() => Promise<string>)[] = [
      () => smtp.say('EHLO ehr.test'),
      () => smtp.startTls(ca),
      () => smtp.say('EHLO ehr.test'),
      () => smtp.say(`AUTH PLAIN ${plainOf(login.account, login.secret)}`),
      () => smtp.say(`MAIL FROM:<${mail.from}>`),
      ...mail.to.map((to) => () => smtp.say(`RCPT TO:<${to}>`)),
      () => smtp.say('DATA'),
    ]
    for (const step of steps) {
      const reply = await step()
      if (!/^[23]/.test(reply)) return reply
    }
    smtp.write(dotted(mail.content))
    return await smtp.reply(60_000)
  } finally {
    smtp.close()
  }
}

/** Hands one message to an LMTP server in the clear; answers its reply about the recipient, or the first that is no success. */
export async function fedByLmtp(port: number, from: string, to: string, content: string | Uint8Array): Promise<string> {
  const lmtp = await openSmtp(port, { from: '127.0.0.1' })
  try {
    for (const command of ['LHLO gateway.test', `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`, 'DATA']) {
      const reply = await lmtp.say(command)
      if (!/^[23]/.test(reply)) return reply
    }
    lmtp.write(dotted(content))
    return await lmtp.reply()
  } finally {
    lmtp.close()
  }
}

/** Runs swaks against a submission listener, as a second client that is not ours: its whole dialogue, and whether it was content. */
export async function swaks(port: number, words: readonly string[]): Promise<{ good: boolean; said: string }> {
  const all = ['--server', '127.0.0.1', '--port', String(port), '--timeout', '30', '--ehlo', 'ehr.test', ...words]
  try {
    const { stdout, stderr } = await promisify(execFile)('swaks', all, { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 })
    return { good: true, said: `${stdout}${stderr}` }
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { readonly stdout?: string; readonly stderr?: string }
    return { good: false, said: `${stdout}${stderr}` }
  }
}
