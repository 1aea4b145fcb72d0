import { gone, openWire, silent, type WireOptions } from './wire.js'

/** POP3 (RFC 1939) as a client says it, on a bare socket. */
export interface Pop {
  readonly greeting: string
  /** One command; the first line of its answer. */
  say(command: string): Promise<string>
  /** One command that is answered by several lines: those after the first, without dot-stuffing; none where it says -ERR. */
  ask(command: string): Promise<{ readonly first: string; readonly lines: readonly string[]; readonly raw: string }>
  /** STLS (RFC 2595 §4) and the handshake; the answer in the clear. */
  startTls(ca: string | Buffer): Promise<string>
  protocol(): string | undefined
  close(): void
}

/** Connects and hears the greeting. */
export async function openPop(port: number, options: WireOptions = {}): Promise<Pop> {
  const wire = await openWire(port, options)
  const greeting = await wire.line()
  const say = (command: string) => {
    wire.write(`${command}\r\n`)
    return wire.line()
  }
  return {
    greeting,
    say,
    async ask(command) {
      const first = await say(command)
      const raw: string[] = []
      for (let line = first.startsWith('+OK') ? await wire.line() : '.'; line !== '.'; line = await wire.line()) {
        if (line === gone || line === silent) throw new Error(`${line} in the answer to ${command}`)
        raw.push(line)
      }
      return { first, lines: raw.map((line) => line.replace(/^\./, '')), raw: raw.join('\r\n') }
    },
    async startTls(ca) {
      const answer = await say('STLS')
      if (answer.startsWith('+OK')) await wire.secure(ca)
      return answer
    },
    protocol: wire.protocol,
    close: wire.close,
  }
}

/** The bytes of the message that lines of RETR make. */
export const messageOf = (lines: readonly string[]) => Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1')
