import { mutateBytes } from './mutate.mjs'

/**
 * DNS messages as a model, written with what is wrong in them: counts that lie, pointers to anywhere, names and records of
 * every length. The id and the question mostly stay, since an answer to another one is dropped unread.
 *
 * @typedef {import('./dice.mjs').Dice} Dice
 */

export const dnsId = 0x1234

export const dnsTypes = { A: 1, NS: 2, CNAME: 5, SOA: 6, AAAA: 28, SRV: 33, CERT: 37, OPT: 41 }

/** A name on the wire. @param {string} text */
export const wireName = (text) =>
  Buffer.concat([
    ...text
      .split('.')
      .filter((label) => label !== '')
      .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.alloc(1),
  ])

const u16 = (...values) => Buffer.from(values.flatMap((value) => [(value >> 8) & 0xff, value & 0xff]))

export const pointerTo = (at) => u16(0xc000 | (at & 0x3fff))

/** @returns {Buffer} */
export function writeDns({
  id = dnsId,
  flags = 0x8400,
  counts = {},
  question,
  answers,
  authorities = [],
  additionals = [],
}) {
  const record = ({ name, type, klass = 1, ttl = 300, data, length = data.length }) =>
    Buffer.concat([name, u16(type, klass, ttl >>> 16, ttl & 0xffff, length), data])
  return Buffer.concat([
    u16(id, flags),
    u16(
      counts.questions ?? (question ? 1 : 0),
      counts.answers ?? answers.length,
      counts.authorities ?? authorities.length,
      counts.additionals ?? additionals.length,
    ),
    ...(question ? [question.name, u16(question.type, question.klass ?? 1)] : []),
    ...[...answers, ...authorities, ...additionals].map(record),
  ])
}

const sections = ['answers', 'authorities', 'additionals']

function nameOf(model, dice) {
  switch (dice.below(8)) {
    case 0:
      return pointerTo(dice.below(0x4000))
    case 1:
      return pointerTo(12 + dice.below(200))
    case 2:
      return Buffer.concat([wireName('a'.repeat(63)).subarray(0, -1), pointerTo(12)])
    case 3:
      return Buffer.from([dice.pick([0x40, 0x80, 0x3f, 0xc0, 0xff]), dice.below(256)])
    case 4:
      return wireName(`${'a.'.repeat(dice.pick([5, 120, 127, 128, 300]))}example`)
    case 5:
      return Buffer.concat([Buffer.from([4]), dice.bytes(4), model.question.name])
    case 6:
      return Buffer.alloc(1)
    default:
      return pointerTo(12)
  }
}

/** Aliases one behind the other, each name told by a pointer into the one before. */
function aliases(count) {
  const names = Array.from({ length: count }, (_, i) => wireName(`n${i}.example`))
  return names.map((data, i) => ({ name: i === 0 ? pointerTo(12) : names[i - 1], type: dnsTypes.CNAME, data }))
}

/** @param {Dice} dice */
function change(model, corpus, dice) {
  const section = model[dice.pick(sections)]
  const record = section.length > 0 ? dice.pick(section) : undefined
  switch (dice.below(14)) {
    case 0:
      model.counts = { ...model.counts, [dice.pick(sections)]: dice.pick([0, 1, 2, 200, 257, 65_535]) }
      return
    case 1:
      if (dice.below(4) === 0) model.counts = { ...model.counts, questions: dice.below(3) }
      else model.flags = 0x8000 | (dice.below(4) === 0 ? dice.below(0x8000) : dice.below(16) | (dice.below(2) << 10))
      return
    case 2:
      if (record) record.name = nameOf(model, dice)
      return
    case 3:
      if (record) record.type = dice.below(3) === 0 ? dice.below(300) : dice.pick(Object.values(dnsTypes))
      return
    case 4:
      if (record) record.ttl = dice.pick([0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])
      return
    case 5:
      if (record) record.length = dice.pick([0, 1, record.data.length + 1, record.data.length - 1, 65_535]) & 0xffff
      return
    case 6:
      if (record) record.data = dice.below(2) === 0 ? mutateBytes(record.data, dice) : nameOf(model, dice)
      return
    case 7:
      if (record) section.push(...Array.from({ length: dice.pick([1, 2, 60, 256]) }, () => ({ ...record })))
      return
    case 8: {
      const other = dice.pick(corpus)
      const from = other.answers.length > 0 ? other.answers : other.authorities
      if (from.length > 0) section.push({ ...dice.pick(from) })
      return
    }
    case 9:
      section.push(...aliases(dice.pick([1, 2, 8, 9, 40])))
      return
    case 10:
      if (record) record.klass = dice.below(5)
      return
    case 11:
      if (record) section.splice(section.indexOf(record), 1)
      return
    case 12: {
      // Pointers that each lead to the one before: the deepest there can be.
      const at = writeDns({ ...model, counts: {} }).length
      const chain = Array.from({ length: dice.pick([10, 31, 33, 500]) }, (_, i) =>
        pointerTo(i === 0 ? 12 : at + 9 + 2 * i),
      )
      model.additionals.push({ name: Buffer.alloc(1), type: 99, data: Buffer.concat(chain) })
      model.additionals.push({ name: pointerTo(at + 9 + 2 * (chain.length - 1)), type: 1, data: Buffer.alloc(4) })
      return
    }
    default:
      model.question = { ...model.question, ...(dice.below(4) === 0 && { name: nameOf(model, dice) }) }
  }
}

/** A changed message, and the model of it, from which to go on. @param {object} seed @param {object[]} corpus @param {Dice} dice */
export function mutateDns(seed, corpus, dice) {
  const model = { answers: [], authorities: [], additionals: [], ...seed }
  for (const section of sections) model[section] = model[section].map((record) => ({ ...record }))
  for (let times = dice.pick([1, 1, 2, 3, 6]); times > 0; times--) change(model, corpus, dice)
  const bytes = writeDns(model)
  return { seed: model, bytes: dice.below(5) === 0 ? mutateBytes(bytes, dice) : bytes }
}
