import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import type { Random } from '../ports/world.js'
import { type AskedType, type Question, questionBytes, type ReadMessage, readMessage } from './dns-message.js'
import { type Patience, within } from './patience.js'

export const dnsExchangeLimits = {
  /** Datagrams that are not ours, before the server counts as failed: somebody is guessing ids. */
  strays: 16,
}

/** A name server, by IP address. */
export interface ServerAddress {
  readonly address: string
  readonly port: number
}

export interface ExchangeTerms {
  /** For one datagram or one connection. */
  readonly timeoutMs: number
  /** Ask for what others know (RFC 1035 §4.1.1, RD). */
  readonly recursive: boolean
  readonly patience: Patience
  readonly random: Random
}

/** What a server said in the end; `stray` and `truncated` never come out of an exchange. */
export type Exchanged<Type extends AskedType> = Exclude<ReadMessage<Type>, { readonly kind: 'stray' | 'truncated' }>

/**
 * Asks one server one question: over UDP with EDNS; without EDNS where it may not understand that (RFC 6891 §7, and
 * servers from before it); over TCP
 * where the answer is truncated or does not read (RFC 7766 §5). Each datagram has a socket, a port and an id of its own
 * (RFC 5452 §4); the kernel passes only what the server asked sends. Answers `garbage` for silence, too. Never throws.
 */
export async function exchange<Type extends AskedType>(
  server: ServerAddress,
  question: Question<Type>,
  terms: ExchangeTerms,
): Promise<Exchanged<Type>> {
  let edns = true
  let said = await overUdp(server, question, terms, edns)
  if (said.kind === 'failure' && (said.code === 'FORMERR' || said.code === 'NOTIMP')) {
    edns = false
    said = await overUdp(server, question, terms, edns)
  }
  if (said.kind !== 'truncated' && said.kind !== 'garbage') return said
  const unread = said.kind === 'garbage' ? said.detail : undefined
  if (unread === silence) return { kind: 'garbage', detail: silence }
  const whole = await overTcp(server, question, terms, edns)
  if (whole.kind === 'truncated') return { kind: 'garbage', detail: 'truncated over TCP' }
  if (whole.kind === 'garbage' && unread) return { kind: 'garbage', detail: `${unread}; over TCP ${whole.detail}` }
  return whole
}

const silence = 'no answer'

type Said<Type extends AskedType> = Exclude<ReadMessage<Type>, { readonly kind: 'stray' }>

function idOf(random: Random): number {
  return Buffer.from(random.bytes(2)).readUInt16BE()
}

function overUdp<Type extends AskedType>(
  { address, port }: ServerAddress,
  question: Question<Type>,
  { timeoutMs, recursive, patience, random }: ExchangeTerms,
  edns: boolean,
): Promise<Said<Type>> {
  return new Promise((resolve) => {
    const id = idOf(random)
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
    let strays = 0
    const end = (said: Said<Type>) => {
      clearTimeout(timer)
      socket.removeAllListeners()
      // A late ICMP message must not become an error that nobody hears.
      socket.on('error', () => {})
      try {
        socket.close()
      } catch {
        // It never came so far as to be open.
      }
      resolve(said)
    }
    const failed = (error: Error) => end({ kind: 'garbage', detail: error.message })
    const timer = setTimeout(() => end({ kind: 'garbage', detail: silence }), within(patience, timeoutMs))
    socket.on('error', failed)
    socket.on('message', (bytes) => {
      const said = readMessage(bytes, question, id)
      if (said.kind !== 'stray') return end(said)
      strays += 1
      if (strays > dnsExchangeLimits.strays) end({ kind: 'garbage', detail: 'answers that are not ours' })
    })
    // Connected, so that only this server is heard, and its refusal at once.
    socket.on('connect', () =>
      socket.send(questionBytes(question, { id, edns, recursive }), (error) => error && failed(error)),
    )
    socket.connect(port, address)
  })
}

/** RFC 1035 §4.2.2: two octets of length, then the message. Only the first message is looked at. */
function overTcp<Type extends AskedType>(
  { address, port }: ServerAddress,
  question: Question<Type>,
  { timeoutMs, recursive, patience, random }: ExchangeTerms,
  edns: boolean,
): Promise<Said<Type>> {
  return new Promise((resolve) => {
    const id = idOf(random)
    const socket = connect({ host: address, port })
    const chunks: Buffer[] = []
    let size = 0
    let wanted: number | undefined
    const end = (said: Said<Type>) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(said)
    }
    const timer = setTimeout(() => end({ kind: 'garbage', detail: 'too slow' }), within(patience, timeoutMs))
    socket.on('error', (error) => end({ kind: 'garbage', detail: error.message }))
    socket.on('close', () => end({ kind: 'garbage', detail: 'broke off' }))
    socket.on('connect', () => {
      const bytes = questionBytes(question, { id, edns, recursive })
      socket.write(Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]))
    })
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      size += chunk.length
      // Put together only when the length, and then the message, is there: a drip must not cost a copy for each drop.
      if (wanted === undefined && size >= 2) {
        const begun = Buffer.concat(chunks.splice(0))
        chunks.push(begun)
        wanted = begun.readUInt16BE(0)
      }
      if (wanted === undefined || size < wanted + 2) return
      const said = readMessage(Buffer.concat(chunks).subarray(2, wanted + 2), question, id)
      end(said.kind === 'stray' ? { kind: 'garbage', detail: 'an answer that is not ours' } : said)
    })
  })
}
