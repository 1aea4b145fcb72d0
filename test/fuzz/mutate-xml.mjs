import { mutateBytes } from './mutate.mjs'

/**
 * Changes XML as a row of tags and text: what comes out is mostly well-formed, so that it gets past the parser, and wrong
 * in one place further in.
 *
 * @typedef {import('./dice.mjs').Dice} Dice
 */
const pieces = /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<[^>]*>|[^<]+/g

/** @param {Buffer} bytes @returns {string[]} */
const tokensOf = (bytes) => bytes.toString('utf8').match(pieces) ?? []

const opens = (token) => /^<[^!?/]/.test(token) && !token.endsWith('/>')
const closes = (token) => token.startsWith('</')

/** Where the element that begins at `at` ends; the token itself where it is no beginning. */
function endOf(tokens, at) {
  let depth = 0
  for (let i = at; i < tokens.length; i++) {
    if (opens(tokens[i])) depth++
    else if (closes(tokens[i])) depth--
    if (depth <= 0) return i + 1
  }
  return tokens.length
}

const words = [
  '',
  ' ',
  '0',
  '-1',
  'true',
  '1e308',
  'NaN',
  '2015',
  '201502',
  '20150230',
  '20150622101530.123-0500',
  '201506221',
  '0001',
  '99999999999999',
  '+0000',
  '#',
  '#a',
  '##',
  '__proto__',
  'constructor',
  'UNK',
  'NI',
  'OTH',
  'MSK',
  'INT',
  'RQO',
  'EVN',
  'GOL',
  'completed',
  'active',
  'aborted',
  '2.16.840.1.113883.6.96',
  '2.16.840.1.113883.10.20.22.4.4',
  '2.16.840.1.113883.10.20.22.4.16',
  '48765-2',
  '30954-2',
  '419199007',
  'PQ',
  'IVL_PQ',
  'PIVL_TS',
  'EIVL_TS',
  'RTO_PQ_PQ',
  'CD',
  'ED',
  'ST',
  'javascript:alert(1)',
  'data:text/html;base64,PHNjcmlwdD4=',
  '../../etc/passwd',
  'é\u0000\ud800',
  'a'.repeat(70_000),
]
const additions = [
  ' nullFlavor="UNK"',
  ' negationInd="true"',
  ' xsi:type="PQ"',
  ' xsi:type="IVL_TS"',
  ' moodCode="INT"',
  ' representation="B64"',
  ' mediaType="text/html"',
  ' ID="a"',
  ' inclusive="false"',
  ' operator="A"',
  ' xmlns="urn:other"',
  ' xmlns:a="b" a:c="d"',
  ' x="1" x="2"',
]
const strangers = [
  '<!DOCTYPE a [<!ENTITY b "c">]>',
  '&nbsp;',
  '&#0;',
  '&#x110000;',
  '&#233;',
  '&b;',
  '<![CDATA[<script>]]>',
  '<?xml-stylesheet href="x"?>',
  '<!-- -- -->',
  ']]>',
  '<',
  '\u0000',
]

/** @param {string} tag @param {Dice} dice */
function changeTag(tag, dice) {
  const attributes = [...tag.matchAll(/\s[\w:.-]+\s*=\s*("[^"]*"|'[^']*')/g)]
  const one = attributes.length > 0 && dice.below(4) > 0 ? dice.pick(attributes) : undefined
  if (!one) {
    const end = tag.endsWith('/>') ? -2 : -1
    return tag.slice(0, end) + dice.pick(additions) + tag.slice(end)
  }
  const [whole, value] = one
  if (dice.below(4) === 0) return tag.replace(whole, '')
  return tag.replace(whole, whole.replace(value, `"${dice.pick(words).replaceAll('"', '')}"`))
}

/** @param {string[]} tokens @param {readonly Buffer[]} corpus @param {Dice} dice */
function change(tokens, corpus, dice) {
  const at = dice.below(tokens.length)
  const end = endOf(tokens, at)
  const element = tokens.slice(at, end)
  switch (dice.below(11)) {
    case 0:
      tokens.splice(at, element.length)
      return
    case 1:
      for (let times = dice.pick([1, 1, 2, 30]); times > 0; times--) tokens.splice(at, 0, ...element)
      return
    case 2: {
      const other = dice.below(tokens.length)
      tokens.splice(at, element.length, ...tokens.slice(other, endOf(tokens, other)))
      return
    }
    case 3: {
      const donor = tokensOf(dice.pick(corpus))
      const from = dice.below(donor.length + 1)
      tokens.splice(at, dice.below(2) * element.length, ...donor.slice(from, endOf(donor, from)))
      return
    }
    case 4: {
      const depth = dice.pick([1, 2, 40, 63, 65, 3_000])
      const name = /^<([\w:.-]+)/.exec(tokens[at])?.[1] ?? 'section'
      tokens.splice(
        at,
        element.length,
        ...Array(depth).fill(`<${name}>`),
        ...element,
        ...Array(depth).fill(`</${name}>`),
      )
      return
    }
    case 5:
      tokens.splice(at, 0, dice.pick(strangers))
      return
    case 6:
      if (!tokens[at].startsWith('<')) tokens[at] = dice.pick(words)
      return
    default: {
      const tags = tokens.flatMap((token, index) => (/^<[^!?/]/.test(token) ? [index] : []))
      const index = tags.length > 0 ? dice.pick(tags) : at
      tokens[index] = changeTag(tokens[index], dice)
    }
  }
}

/** The text in other bytes than UTF-8, or saying that it is. */
function encoded(text, dice) {
  switch (dice.below(24)) {
    case 0:
      return Buffer.from(`\ufeff${text}`, 'utf16le')
    case 1:
      return Buffer.from(`\ufeff${text}`, 'utf8')
    case 2:
      return Buffer.from(text, 'latin1')
    case 3:
      return Buffer.from(text.replace(/encoding="[^"]*"/, `encoding="${dice.pick(['utf-16', 'windows-1252', 'x'])}"`))
    default:
      return Buffer.from(text)
  }
}

/** Elements in one document, after which it grows no more. */
const mostTokens = 20_000

/** Changed bytes, and the same as a seed from which to go on. @param {Buffer} seed @param {readonly Buffer[]} corpus @param {Dice} dice */
export function mutateXml(seed, corpus, dice) {
  if (dice.below(12) === 0) {
    const bytes = mutateBytes(seed, dice)
    return { seed: bytes, bytes }
  }
  const tokens = tokensOf(seed)
  for (let times = dice.pick([1, 1, 1, 2, 3, 5]); times > 0; times--) {
    if (tokens.length === 0 || tokens.length > mostTokens) break
    change(tokens, corpus, dice)
  }
  const text = tokens.join('')
  const bytes = encoded(text, dice)
  return { seed: Buffer.from(text), bytes }
}
