/** Just enough DER to take certificates and signed data apart and put them together wrongly. Not the gateway's reader. */
export interface Node {
  readonly tag: number
  /** Of a primitive. */
  readonly bytes?: Buffer
  /** Of a constructed one. */
  readonly parts?: readonly Node[]
}

/** Reads one DER value. Throws for what is none: only our own and OpenSSL's bytes come here. */
export function read(bytes: Uint8Array): Node {
  const { node, end } = readAt(Buffer.from(bytes), 0)
  if (end !== bytes.length) throw new Error(`${bytes.length - end} bytes behind the value`)
  return node
}

function readAt(bytes: Buffer, at: number): { readonly node: Node; readonly end: number } {
  const tag = bytes.readUInt8(at)
  const first = bytes.readUInt8(at + 1)
  const more = first < 0x80 ? 0 : first & 0x7f
  const size = more === 0 ? first : bytes.readUIntBE(at + 2, more)
  const start = at + 2 + more
  const end = start + size
  const content = bytes.subarray(start, end)
  if (content.length !== size) throw new Error('a value is cut off')
  if ((tag & 0x20) === 0) return { node: { tag, bytes: content }, end }
  const parts: Node[] = []
  for (let next = start; next < end; ) {
    const part = readAt(bytes, next)
    parts.push(part.node)
    next = part.end
  }
  return { node: { tag, parts }, end }
}

/** Writes it as DER. */
export function write(node: Node): Buffer {
  const content = node.bytes ?? Buffer.concat((node.parts ?? []).map(write))
  const size = content.length
  if (size < 0x80) return Buffer.concat([Buffer.from([node.tag, size]), content])
  const octets = Buffer.from(size.toString(16).padStart(size > 0xffff ? 6 : size > 0xff ? 4 : 2, '0'), 'hex')
  return Buffer.concat([Buffer.from([node.tag, 0x80 | octets.length]), octets, content])
}

/** The part at a path of positions. Throws where there is none. */
export function partAt(node: Node, ...path: readonly number[]): Node {
  let found: Node | undefined = node
  for (const position of path) found = found?.parts?.[position]
  if (!found) throw new Error(`nothing at ${path.join('.')}`)
  return found
}

/** The value with the part at a path replaced, or left out. */
export function withPart(node: Node, path: readonly number[], part: Node | undefined): Node {
  const [first, ...rest] = path
  if (first === undefined) throw new Error('no path')
  const parts = [...(node.parts ?? [])]
  const child = partAt(node, first)
  const next = rest.length > 0 ? withPart(child, rest, part) : part
  parts.splice(first, 1, ...(next ? [next] : []))
  return { tag: node.tag, parts }
}

export const sequence = (...parts: readonly Node[]): Node => ({ tag: 0x30, parts })
export const enumerated = (value: number): Node => ({ tag: 0x0a, bytes: Buffer.from([value]) })
export const octets = (value: string | Uint8Array): Node => ({
  tag: 0x04,
  bytes: typeof value === 'string' ? Buffer.from(value) : Buffer.from(value),
})
