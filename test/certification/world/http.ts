import { createServer } from 'node:http'
import type { Socket } from 'node:net'

/** What stands at a path: bytes now, or made when asked; a failure; or silence. */
export type Place =
  | { readonly kind: 'bytes'; readonly type: string; readonly bytes: () => Buffer | Promise<Buffer> }
  | { readonly kind: 'fails'; readonly status: number }
  | { readonly kind: 'hangs' }

export interface WebServer {
  /** `http://127.0.0.1:12345`. */
  readonly url: string
  readonly places: Map<string, Place>
  /** Paths asked for, in order. */
  readonly asked: readonly string[]
  close(): Promise<void>
}

/** A web server of authorities and bundle publishers; what stands at a path may change while it runs. */
export async function startWeb(): Promise<WebServer> {
  const places = new Map<string, Place>()
  const asked: string[] = []
  const open = new Set<Socket>()
  const server = createServer((request, response) => {
    const path = request.url ?? '/'
    asked.push(path)
    const place = places.get(path)
    if (place?.kind === 'hangs') return
    if (place?.kind !== 'bytes') {
      response.writeHead(place?.status ?? 404).end()
      return
    }
    Promise.resolve(place.bytes()).then(
      (bytes) => response.writeHead(200, { 'content-type': place.type, 'content-length': bytes.length }).end(bytes),
      () => response.writeHead(500).end(),
    )
  })
  server.on('connection', (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    url: `http://127.0.0.1:${address && typeof address === 'object' ? address.port : 0}`,
    places,
    asked,
    close: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
