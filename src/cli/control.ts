import { chmodSync, closeSync, existsSync, openSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import type { Log } from '../ports/observe.js'
import { type ByteSink, CommandFailed, type Context, cliLimits, type Operator } from './operator.js'

/**
 * One process owns the store, so a running gateway runs the operator's commands itself: it listens on a socket in its
 * data folder that its own user alone may open. A line of JSON each way at a time. The client sends the command line; the
 * server sends what to print, asks for files of the operator's by path, and ends with the exit code.
 */

export const controlSocket = 'control.sock'

type ToServer =
  | { readonly argv: readonly string[] }
  | { readonly file: string }
  | { readonly written: true }
  | { readonly failed: string }

type ToClient =
  | { readonly out: string }
  | { readonly err: string }
  | { readonly read: string }
  | { readonly write: string; readonly bytes: string; readonly kind: 'open' | 'secret' }
  /** A file to be begun; its bytes follow, in order, each answered with `written`. */
  | { readonly create: string }
  | { readonly chunk: string }
  | { readonly finish: true }
  | { readonly progress: string }
  | { readonly exit: number }

export interface Control {
  close(): Promise<void>
}

export interface ControlOptions {
  readonly dataDir: string
  readonly operator: Operator
  /** Runs a command line in a context: the same function that the operator's own process uses. */
  readonly run: (argv: readonly string[], context: Context) => Promise<number>
  readonly log: Log
}

/**
 * Listens for commands. Call it only by the process that holds the store: a socket left by a dead one is replaced.
 * Rejects where the socket cannot be made.
 */
export async function listenForCommands({ dataDir, operator, run, log }: ControlOptions): Promise<Control> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy())
    if (sockets.size > cliLimits.sessions) return void socket.destroy()
    serveCommand(socket, operator, run, log).catch((error) => {
      log.error('control.failed', { cause: String(error) })
      socket.destroy()
    })
  })
  await listenPrivately(server, dataDir)
  return {
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** The socket is born with mode 0600: the umask is narrowed while it is made, so there is no moment in which others may open it. */
async function listenPrivately(server: Server, dataDir: string): Promise<void> {
  const { path, release } = shortPath(dataDir)
  rmSync(join(dataDir, controlSocket), { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).once('listening', () => {
      server.off('error', reject)
      resolve()
    })
    const before = process.umask(0o177)
    try {
      server.listen({ path })
    } finally {
      process.umask(before)
    }
  }).finally(release)
  chmodSync(join(dataDir, controlSocket), 0o600)
}

/** A socket address has 108 bytes; a longer path goes through a descriptor of its folder, where the system has those. */
function shortPath(dataDir: string): { readonly path: string; readonly release: () => void } {
  const path = join(dataDir, controlSocket)
  if (Buffer.byteLength(path) < 100 || !existsSync('/proc/self/fd')) return { path, release: () => undefined }
  const folder = openSync(dirname(path), 'r')
  return { path: `/proc/self/fd/${folder}/${controlSocket}`, release: () => closeSync(folder) }
}

async function serveCommand(socket: Socket, operator: Operator, run: ControlOptions['run'], log: Log): Promise<void> {
  const messages = lines(socket)
  const send = (message: ToClient) => void (socket.writable && socket.write(`${JSON.stringify(message)}\n`))
  const answer = async (withinMs: number = cliLimits.answerMs): Promise<ToServer> => {
    const line = await withinTime(messages.next(), socket, withinMs)
    return line.done ? { failed: 'the operator went away' } : readMessage(line.value)
  }
  const first = await answer()
  if (!('argv' in first)) return void socket.destroy()
  const context: Context = {
    print: (out) => send({ out }),
    printError: (err) => send({ err }),
    async readFile(path) {
      send({ read: path })
      const reply = await answer()
      if ('file' in reply) return new Uint8Array(Buffer.from(reply.file, 'base64'))
      throw new CommandFailed('failed' in reply ? reply.failed : `cannot read ${path}`)
    },
    async writeFile(path, bytes, kind) {
      send({ write: path, bytes: Buffer.from(bytes).toString('base64'), kind })
      const reply = await answer()
      if (!('written' in reply)) throw new CommandFailed('failed' in reply ? reply.failed : `cannot write ${path}`)
    },
    async createFile(path) {
      const taken = async (message: ToClient) => {
        send(message)
        const reply = await answer(cliLimits.chunkMs)
        if (!('written' in reply)) throw new CommandFailed('failed' in reply ? reply.failed : `cannot write ${path}`)
      }
      await taken({ create: path })
      return inChunks(cliLimits.chunkBytes, {
        write: (bytes) => taken({ chunk: Buffer.from(bytes).toString('base64') }),
        end: () => taken({ finish: true }),
      })
    },
    progress: (progress) => send({ progress }),
    withOperator: (_, work) => work(operator),
  }
  const exit = await run(first.argv, context)
  log.info('control.command', { command: commandName(first.argv), exit })
  send({ exit })
  socket.end()
}

/** The words of a command line that name the command: never an argument, which may name a person. */
function commandName(argv: readonly string[]): string {
  const words = argv.filter((word) => /^[a-z][a-z0-9-]{0,20}$/.test(word))
  return words.slice(0, words[0] === 'trace' ? 1 : 2).join(' ')
}

function readMessage(line: string): ToServer {
  try {
    const message: unknown = JSON.parse(line)
    if (typeof message !== 'object' || message === null) return { failed: 'not a message' }
    if ('argv' in message && Array.isArray(message.argv)) return { argv: message.argv.map(String) }
    if ('file' in message && typeof message.file === 'string') return { file: message.file }
    if ('written' in message) return { written: true }
    return { failed: 'failed' in message ? String(message.failed) : 'not a message' }
  } catch {
    return { failed: 'not a message' }
  }
}

/** Lines of a socket, ended by destroying it when one grows beyond the limit. */
async function* lines(socket: Socket): AsyncGenerator<string, void, undefined> {
  let rest = ''
  socket.setEncoding('utf8')
  for await (const chunk of socket as AsyncIterable<string>) {
    rest += chunk
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      yield rest.slice(0, end)
      rest = rest.slice(end + 1)
    }
    if (rest.length > cliLimits.lineBytes) return void socket.destroy()
  }
}

/** A sink that hands on pieces of one size, so that small writes cost no round trip each. */
function inChunks(sizeBytes: number, sink: ByteSink): ByteSink {
  let held: Uint8Array[] = []
  let heldBytes = 0
  async function flush() {
    const all = Buffer.concat(held)
    held = []
    heldBytes = 0
    for (let at = 0; at < all.length; at += sizeBytes) await sink.write(all.subarray(at, at + sizeBytes))
  }
  return {
    async write(bytes) {
      held.push(bytes)
      heldBytes += bytes.length
      if (heldBytes >= sizeBytes) await flush()
    },
    async end() {
      await flush()
      await sink.end()
    },
  }
}

async function withinTime<T>(promise: Promise<T>, socket: Socket, withinMs: number): Promise<T> {
  const timer = setTimeout(() => socket.destroy(), withinMs)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

export type Sent =
  | { readonly kind: 'done'; readonly exit: number }
  /** Nobody listens: the store may be opened here. */
  | { readonly kind: 'no-server' }
  | { readonly kind: 'failed'; readonly detail: string }

/**
 * Hands a command line to the gateway that runs on this data folder. Its files are read and written here, as the
 * operator, and only those that the command line names.
 */
export async function sendCommand(
  dataDir: string,
  argv: readonly string[],
  context: Pick<Context, 'print' | 'printError' | 'readFile' | 'writeFile' | 'createFile' | 'progress'>,
): Promise<Sent> {
  const opened = await open(dataDir)
  if (!('socket' in opened)) return opened
  const { socket } = opened
  const send = (message: ToServer) => void socket.write(`${JSON.stringify(message)}\n`)
  const named = (path: string) => argv.some((word) => word === path || word.endsWith(`=${path}`))
  let file: ByteSink | undefined
  try {
    send({ argv })
    for await (const line of lines(socket)) {
      const message = JSON.parse(line) as ToClient
      if ('out' in message) context.print(message.out)
      else if ('err' in message) context.printError(message.err)
      else if ('exit' in message) return { kind: 'done', exit: message.exit }
      else if ('progress' in message) context.progress?.(message.progress)
      else if ('create' in message) {
        const { create } = message
        send(
          await doing(async () => {
            if (!named(create) || !context.createFile)
              throw new CommandFailed(`the command line does not name ${create}`)
            file = await context.createFile(create)
          }),
        )
      } else if ('chunk' in message) {
        const bytes = Buffer.from(message.chunk, 'base64')
        send(await doing(async () => file?.write(bytes)))
      } else if ('finish' in message) send(await doing(async () => file?.end()))
      else if ('read' in message) send(await reading(message.read, named, context))
      else send(await writing(message, named, context))
    }
    return { kind: 'failed', detail: 'the gateway went away before the command ended' }
  } catch (error) {
    return { kind: 'failed', detail: `the gateway could not be asked: ${String(error)}` }
  } finally {
    socket.destroy()
  }
}

async function reading(
  path: string,
  named: (path: string) => boolean,
  { readFile }: Pick<Context, 'readFile'>,
): Promise<ToServer> {
  if (!named(path)) return { failed: `the command line does not name ${path}` }
  try {
    return { file: Buffer.from(await readFile(path)).toString('base64') }
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) }
  }
}

async function doing(work: () => Promise<void>): Promise<ToServer> {
  try {
    await work()
    return { written: true }
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) }
  }
}

async function writing(
  { write: path, bytes, kind }: Extract<ToClient, { write: string }>,
  named: (path: string) => boolean,
  { writeFile }: Pick<Context, 'writeFile'>,
): Promise<ToServer> {
  if (!named(path)) return { failed: `the command line does not name ${path}` }
  try {
    await writeFile(path, Buffer.from(bytes, 'base64'), kind)
    return { written: true }
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) }
  }
}

function open(dataDir: string): Promise<{ readonly socket: Socket } | Exclude<Sent, { kind: 'done' }>> {
  if (!existsSync(join(dataDir, controlSocket))) return Promise.resolve({ kind: 'no-server' })
  const { path, release } = shortPath(dataDir)
  return new Promise<{ readonly socket: Socket } | Exclude<Sent, { kind: 'done' }>>((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => resolve({ socket }))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve({ kind: 'no-server' })
      else if (error.code === 'EACCES')
        resolve({ kind: 'failed', detail: 'the gateway runs as another user: run the command as that user' })
      else resolve({ kind: 'failed', detail: String(error) })
    })
  }).finally(release)
}
