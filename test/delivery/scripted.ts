import { createServer, type Server, type Socket } from 'node:net'
import type { ExchangeAnswer, Exchanges } from '../../src/ports/exchange.js'

/** Places in the dialogue where a scripted peer may misbehave. `message` is the reply after the final dot. */
export const steps = ['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'message'] as const
export type Step = (typeof steps)[number]

/** A reply line, or: reset the connection, close it, say nothing. */
export type Behaviour =
  | string
  | { readonly act: 'reset' | 'close' | 'hang' }
  | { readonly say: string; readonly next: 'reset' }

const usual: Record<Step, string> = {
  greeting: '220 peer.example ESMTP',
  EHLO: '250 peer.example',
  MAIL: '250 2.1.0 ok',
  RCPT: '250 2.1.5 ok',
  DATA: '354 go',
  message: '250 2.0.0 queued as 1',
}

export interface ScriptedPeer {
  readonly port: number
  readonly messages: string[]
  readonly commands: string[]
  connections(): number
  mostAtOnce(): number
  close(): void
}

/** An SMTP server that behaves as told, per connection (the last script repeats), and as usual elsewhere. */
export async function scriptedPeer(...scripts: readonly Partial<Record<Step, Behaviour>>[]): Promise<ScriptedPeer> {
  const messages: string[] = []
  const commands: string[] = []
  const open = new Set<Socket>()
  let connections = 0
  let mostAtOnce = 0
  const server: Server = createServer((socket) => {
    const script = { ...usual, ...scripts[Math.min(connections, scripts.length - 1)] }
    connections++
    open.add(socket)
    mostAtOnce = Math.max(mostAtOnce, open.size)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => undefined)
    speak(socket, script, commands, messages)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    messages,
    commands,
    connections: () => connections,
    mostAtOnce: () => mostAtOnce,
    close() {
      for (const socket of open) socket.destroy()
      server.close()
    },
  }
}

function speak(socket: Socket, script: Record<Step, Behaviour>, commands: string[], messages: string[]): void {
  let buffered = ''
  let inMessage = false
  const perform = (behaviour: Behaviour) => {
    if (typeof behaviour === 'string') socket.write(`${behaviour}\r\n`)
    else if ('say' in behaviour) socket.write(`${behaviour.say}\r\n`, () => socket.resetAndDestroy())
    else if (behaviour.act === 'reset') socket.resetAndDestroy()
    else if (behaviour.act === 'close') socket.end()
  }
  perform(script.greeting)
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => {
    buffered += chunk
    for (;;) {
      if (inMessage && buffered.startsWith('.\r\n')) buffered = `\r\n${buffered}`
      const end = inMessage ? buffered.indexOf('\r\n.\r\n') : buffered.indexOf('\r\n')
      if (end < 0) return
      const text = buffered.slice(0, end)
      buffered = buffered.slice(end + (inMessage ? 5 : 2))
      if (inMessage) {
        inMessage = false
        messages.push(text)
        perform(script.message)
        continue
      }
      commands.push(text)
      const verb = text.slice(0, 4).toUpperCase()
      if (verb === 'QUIT') {
        socket.end('221 bye\r\n')
        return
      }
      const step = verb === 'HELO' ? 'EHLO' : steps.find((name) => name === verb)
      if (!step) socket.write('500 what?\r\n')
      else {
        perform(script[step])
        const answer = script[step]
        if (step === 'DATA' && typeof answer === 'string' && answer.startsWith('354')) inMessage = true
      }
    }
  })
}

/** Every name is at 127.0.0.1. */
export const loopback: Exchanges = {
  of: async (domain): Promise<ExchangeAnswer> => ({
    kind: 'hosts',
    hosts: [{ name: `mx.${domain}`, addresses: ['127.0.0.1'] }],
  }),
  host: async (name): Promise<ExchangeAnswer> => ({ kind: 'hosts', hosts: [{ name, addresses: ['127.0.0.1'] }] }),
}
