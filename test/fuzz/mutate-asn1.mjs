import { mutateBytes } from './mutate.mjs'

/**
 * Changes ASN.1 as a tree: what comes out is mostly well-formed, so that it gets past the first look, and wrong in one
 * place further in. Octet and bit strings that hold DER are opened, too.
 *
 * @typedef {{ tag: number, prefix: Buffer, children?: Node[], content?: Buffer, style?: string }} Node
 * @typedef {import('./dice.mjs').Dice} Dice
 */

/** @param {Buffer} bytes @returns {Node[] | undefined} the elements that fill the bytes, undefined where they do not. */
function parseAll(bytes, depth = 0) {
  const found = []
  for (let at = 0; at < bytes.length; ) {
    const one = parseOne(bytes, at, depth)
    if (!one) return undefined
    found.push(one.node)
    at = one.next
  }
  return found
}

const none = Buffer.alloc(0)

function parseOne(bytes, at, depth) {
  const tag = bytes[at]
  let length = bytes[at + 1]
  if (tag === undefined || length === undefined || depth > 40) return undefined
  let from = at + 2
  if (length === 0x80) return parseIndefinite(bytes, tag, from, depth)
  if (length > 0x80) {
    const count = length & 0x7f
    if (count > 4 || from + count > bytes.length) return undefined
    length = bytes.readUIntBE(from, count)
    from += count
  }
  const next = from + length
  if (next > bytes.length) return undefined
  return { node: nodeOf(tag, bytes.subarray(from, next), depth), next }
}

function parseIndefinite(bytes, tag, from, depth) {
  const children = []
  for (let at = from; ; ) {
    if (bytes[at] === 0 && bytes[at + 1] === 0)
      return { node: { tag, prefix: none, children, style: 'indefinite' }, next: at + 2 }
    const one = parseOne(bytes, at, depth + 1)
    if (!one) return undefined
    children.push(one.node)
    at = one.next
  }
}

function nodeOf(tag, content, depth) {
  const prefix = tag === 0x03 && content[0] === 0 ? content.subarray(0, 1) : none
  const mayHold = tag & 0x20 || ((tag === 0x03 || tag === 0x04) && content.length > 2)
  const children = mayHold ? parseAll(content.subarray(prefix.length), depth + 1) : undefined
  return children ? { tag, prefix, children } : { tag, prefix: none, content }
}

/** @param {Node} node @returns {Buffer} */
function write({ tag, prefix, children, content, style }) {
  const body = children ? Buffer.concat([prefix, ...children.map(write)]) : (content ?? none)
  const head = (...length) => Buffer.concat([Buffer.from([tag, ...length]), body])
  const size = body.length
  switch (style) {
    case 'indefinite':
      return Buffer.concat([head(0x80), Buffer.alloc(2)])
    case 'endless':
      return head(0x80)
    case 'padded':
      return head(0x84, size >>> 24, (size >>> 16) & 0xff, (size >>> 8) & 0xff, size & 0xff)
    case 'huge':
      return head(0x84, 0xff, 0xff, 0xff, 0xff)
    case 'vast':
      return head(0x86, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff)
    case 'reserved':
      return head(0xff)
    case 'over':
      return head(Math.min(0x7f, (size + 1) & 0xff))
    case 'under':
      return head(Math.max(0, (size - 1) & 0x7f))
    case 'high-tag':
      return Buffer.concat([Buffer.from([tag | 0x1f, 0x81, 0x01]), head().subarray(1)])
    default:
      if (size < 0x80) return head(size)
      if (size < 0x100) return head(0x81, size)
      if (size < 0x1_0000) return head(0x82, size >> 8, size & 0xff)
      return head(0x83, size >> 16, (size >> 8) & 0xff, size & 0xff)
  }
}

const styles = ['indefinite', 'endless', 'padded', 'huge', 'vast', 'reserved', 'over', 'under', 'high-tag']
const tags = [
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0a, 0x0c, 0x13, 0x16, 0x17, 0x18, 0x1e, 0x24, 0x30, 0x31, 0x80, 0x81, 0x82,
  0x86, 0x87, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4,
]
const times = [
  '000000000000Z',
  '99991231235959Z',
  '20250229000000Z',
  '20200101000060Z',
  '2020010100Z',
  '20200101000000.5Z',
]

/** Every place in a forest: the list that holds a node, and where. */
function places(nodes, into = []) {
  for (const [i, node] of nodes.entries()) {
    into.push({ list: nodes, i, node })
    if (node.children) places(node.children, into)
  }
  return into
}

const copyOf = (node) => ({ ...node, ...(node.children && { children: node.children.map(copyOf) }) })

/** @param {{ node: Node, list: Node[], i: number }} place @param {Buffer[]} corpus @param {Dice} dice */
function change({ node, list, i }, all, corpus, dice) {
  switch (dice.below(12)) {
    case 0:
      node.tag = dice.below(3) === 0 ? dice.below(256) : dice.pick(tags)
      return
    case 1:
      node.style = dice.pick(styles)
      return
    case 2:
      list.splice(i, 1)
      return
    case 3:
      list.splice(i, 0, ...Array.from({ length: dice.pick([1, 1, 2, 3, 70, 300]) }, () => copyOf(node)))
      return
    case 4: {
      const other = dice.pick(all)
      const mine = copyOf(node)
      list[i] = copyOf(other.node)
      other.list[other.i] = mine
      return
    }
    case 5: {
      // A piece of another seed, where there is one of the same tag for preference.
      const donors = places(parseAll(dice.pick(corpus)) ?? [])
      const same = donors.filter((donor) => donor.node.tag === node.tag)
      const donor = same.length > 0 && dice.below(4) > 0 ? dice.pick(same) : donors.length > 0 && dice.pick(donors)
      if (donor) list[i] = copyOf(donor.node)
      return
    }
    case 6: {
      let inner = copyOf(node)
      const tag = dice.pick([0x30, 0x31, 0xa0, 0x24, node.tag | 0x20])
      const style = dice.pick([undefined, undefined, 'indefinite'])
      for (let depth = dice.pick([1, 1, 2, 31, 33, 400]); depth > 0; depth--)
        inner = { tag, prefix: none, children: [inner], ...(style && { style }) }
      list[i] = inner
      return
    }
    case 7:
      if (node.children && dice.below(2) === 0) node.children = []
      else flatten(node, none)
      return
    default:
      if (node.children) node.children.reverse()
      else flatten(node, contentFor(node, dice))
  }
}

function flatten(node, content) {
  delete node.children
  node.prefix = none
  node.content = content
}

/** Other content for a primitive, of the kind its tag has. */
function contentFor({ tag, content = none }, dice) {
  const size = dice.pick([0, 1, 2, 8, 20, 21, 64, 65, 300, 5000])
  switch (tag) {
    case 0x02:
    case 0x0a:
      return dice.pick([
        Buffer.alloc(size, 0xff),
        Buffer.concat([Buffer.from([0]), dice.bytes(Math.min(size, 400))]),
        Buffer.from([dice.below(256)]),
        Buffer.concat([Buffer.from([0x7f]), Buffer.alloc(size)]),
        Buffer.from([0x80, 0, 0, 0]),
      ])
    case 0x06:
      return dice.pick([
        Buffer.alloc(size, 0x81),
        Buffer.concat([Buffer.alloc(size, 0xff), Buffer.from([0x7f])]),
        Buffer.from([0x55, 0x1d, dice.below(64)]),
        Buffer.concat([content.subarray(0, -1), Buffer.from([dice.below(128)])]),
      ])
    case 0x17:
    case 0x18:
      return Buffer.from(dice.pick(times))
    default:
      if (dice.below(2) === 0) return mutateBytes(content, dice)
      return dice.pick([
        Buffer.alloc(size, dice.below(256)),
        dice.bytes(Math.min(size, 400)),
        Buffer.concat([content, Buffer.from([0]), content]),
        Buffer.from('\ud800é\u0000İſ', 'utf8'),
      ])
  }
}

const armour = /-----BEGIN ([^-]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/

/** Elements in one tree, after which it grows no more: copies of copies would only be slow. */
const mostPlaces = 5_000

/** Changed bytes, and the same as a seed from which to go on. @param {Buffer} seed @param {Buffer[]} corpus @param {Dice} dice */
export function mutateAsn1(seed, corpus, dice) {
  const bytes = mutated(seed, corpus, dice)
  return { seed: bytes, bytes }
}

function mutated(seed, corpus, dice) {
  if (dice.below(8) === 0) return mutateBytes(seed, dice)
  const text = seed[0] === 0x2d ? armour.exec(seed.toString('latin1')) : null
  const trees = parseAll(text ? Buffer.from(text[2], 'base64') : seed)
  if (!trees) return mutateBytes(seed, dice)
  for (let times = dice.pick([1, 1, 1, 2, 3, 5]); times > 0; times--) {
    const all = places(trees)
    if (all.length === 0 || all.length > mostPlaces) break
    change(dice.pick(all), all, corpus, dice)
  }
  const bytes = Buffer.concat(trees.map(write))
  const done = dice.below(16) === 0 ? mutateBytes(bytes, dice) : bytes
  return text ? Buffer.from(`-----BEGIN ${text[1]}-----\n${done.toString('base64')}\n-----END ${text[1]}-----\n`) : done
}
