import { connect, type Socket } from 'node:net'

/** A ClientHello byte by byte (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2): what no TLS library of today would still offer. */
export interface Hello {
  /** The highest version that is offered: 0x0300 (SSL 3.0) to 0x0304 (TLS 1.3). */
  readonly version: number
  readonly suites: readonly number[]
  /** Named groups (RFC 8446 §4.2.7). */
  readonly groups?: readonly number[]
}

/** What came of it: the version and suite that the server chose, or that it would not speak. */
export type Heard =
  | { readonly kind: 'spoken'; readonly version: number; readonly suite: number }
  | { readonly kind: 'refused'; readonly alert?: number }

export const groups = { p256: 23, p384: 24, p521: 25, x25519: 29, x448: 30, ffdhe2048: 256, ffdhe3072: 257 } as const

const number16 = (value: number) => Buffer.from([value >> 8, value & 255])
const sized16 = (bytes: Buffer) => Buffer.concat([number16(bytes.length), bytes])
const sized8 = (bytes: Buffer) => Buffer.concat([Buffer.from([bytes.length]), bytes])
const list16 = (values: readonly number[]) => sized16(Buffer.concat(values.map(number16)))
const extension = (type: number, bytes: Buffer) => Buffer.concat([number16(type), sized16(bytes)])

/** RSA-PSS, ECDSA and PKCS#1 with SHA-256 to SHA-512, and with SHA-1 as old clients have it. */
const signatures = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0201, 0x0203]

function helloBytes({ version, suites, groups: named = [23, 24, 25, 29, 256] }: Hello): Buffer {
  const legacy = Math.min(version, 0x0303)
  const extensions = Buffer.concat([
    extension(0, sized16(Buffer.concat([Buffer.from([0]), sized16(Buffer.from('localhost'))]))),
    extension(10, list16(named)),
    extension(11, Buffer.from([1, 0])),
    extension(13, list16(signatures)),
    ...(version === 0x0304
      ? [extension(43, sized8(number16(version))), extension(45, Buffer.from([1, 1])), extension(51, number16(0))]
      : []),
  ])
  const body = Buffer.concat([
    number16(legacy),
    Buffer.alloc(32, 0x5a),
    Buffer.from([0]),
    list16(suites),
    Buffer.from([1, 0]),
    ...(version === 0x0300 ? [] : [sized16(extensions)]),
  ])
  const handshake = Buffer.concat([Buffer.from([1, 0]), number16(body.length), body])
  return Buffer.concat([Buffer.from([22]), number16(Math.min(legacy, 0x0301)), sized16(handshake)])
}

/**
 * Says it to a listener, after STARTTLS where it is one of mail, and hears the first record of the answer. A TLS 1.3 hello
 * brings no key share, so that a server which accepts it answers with a retry request that names suite and version.
 */
export async function say(port: number, hello: Hello, startTls = false): Promise<Heard> {
  const socket = connect(port, '127.0.0.1')
  socket.setTimeout(10_000, () => socket.destroy(new Error('no answer to a hello')))
  try {
    if (startTls) await begun(socket)
    const answer = answerOf(socket)
    socket.write(helloBytes(hello))
    return await answer
  } finally {
    socket.destroy()
  }
}

async function begun(socket: Socket): Promise<void> {
  for (const command of ['EHLO hello.test', 'STARTTLS', undefined]) {
    await reply(socket)
    if (command !== undefined) socket.write(`${command}\r\n`)
  }
}

function reply(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = ''
    const over = () => socket.off('data', take).off('error', reject).off('close', gone)
    const gone = () => reject(new Error(`the listener hung up: ${text}`))
    const take = (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (!/^\d{3} .*\r\n$/m.test(text)) return
      over()
      if (/^2/.test(text)) resolve()
      else reject(new Error(text.trim()))
    }
    socket.on('data', take).once('error', reject).once('close', gone)
  })
}

function answerOf(socket: Socket): Promise<Heard> {
  return new Promise((resolve, reject) => {
    let heard = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      heard = Buffer.concat([heard, chunk])
      const told = readHeard(heard)
      if (told) resolve(told)
    })
    socket.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' ? resolve({ kind: 'refused' }) : reject(error),
    )
    socket.once('close', () => resolve({ kind: 'refused' }))
  })
}

/** An alert (RFC 8446 §6), or a ServerHello up to its suite (§4.1.3); undefined while more is to come. */
function readHeard(bytes: Buffer): Heard | undefined {
  if (bytes.length < 7) return undefined
  if (bytes[0] === 21) return { kind: 'refused', alert: bytes[6] ?? 0 }
  if (bytes[0] !== 22 || bytes[5] !== 2) return { kind: 'refused' }
  const sessionAt = 5 + 4 + 2 + 32
  const session = bytes[sessionAt]
  const suiteAt = sessionAt + 1 + (session ?? 0)
  if (session === undefined || bytes.length < suiteAt + 2) return undefined
  return { kind: 'spoken', version: bytes.readUInt16BE(9), suite: bytes.readUInt16BE(suiteAt) }
}
