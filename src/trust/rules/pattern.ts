import { type RuleLimits, ruleLimits } from './limits.js'

/**
 * A regular expression that takes time in proportion to what it is tried on: it is run as a set of states, side by side,
 * and never goes back. What needs going back (backreferences, looking around) is refused when it is read.
 */
export interface Pattern {
  readonly source: string
  readonly program: readonly Instruction[]
}

type Instruction =
  | { readonly kind: 'one'; readonly accepts: Characters }
  | { readonly kind: 'split'; readonly to: readonly [number, number] }
  | { readonly kind: 'jump'; readonly to: number }
  | { readonly kind: 'start' | 'end' | 'found' }

/** Code points of these ranges, or all others. */
interface Characters {
  readonly ranges: readonly (readonly [number, number])[]
  readonly negated: boolean
}

type Node =
  | { readonly kind: 'one'; readonly accepts: Characters }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Node[] }
  | { readonly kind: 'repeat'; readonly part: Node; readonly least: number; readonly most: number | undefined }
  | { readonly kind: 'start' | 'end' }

/** Why a pattern cannot be used, and where in it. */
export interface PatternFault {
  readonly kind: 'fault'
  readonly at: number
  readonly detail: string
}

class Unreadable extends Error {
  readonly at: number
  constructor(at: number, message: string) {
    super(message)
    this.at = at
  }
}

/**
 * Reads a regular expression: characters, `.`, classes, `\d \w \s` and their opposites, groups, `|`, `* + ? {m,n}` (lazy or
 * not), `^`, `$`, and `(?i)` in front for ASCII letters of either case. Refuses everything else, and what grows over the limits.
 */
export function readPattern(source: string, limits: RuleLimits = ruleLimits): Pattern | PatternFault {
  try {
    const folded = source.startsWith('(?i)')
    const reader = new PatternReader([...source], folded ? 4 : 0, folded, limits)
    const program: Instruction[] = []
    write(reader.whole(), program, limits.patternStates)
    program.push({ kind: 'found' })
    return { source, program }
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    return { kind: 'fault', at: error.at, detail: error.message }
  }
}

const digit = [[48, 57]] as const
const word = [[48, 57], [65, 90], [95, 95], [97, 122]] as const // biome-ignore format: a table
const space = [[9, 13], [32, 32]] as const // biome-ignore format: a table
const classes: Readonly<Record<string, Characters>> = {
  d: { ranges: digit, negated: false },
  D: { ranges: digit, negated: true },
  w: { ranges: word, negated: false },
  W: { ranges: word, negated: true },
  s: { ranges: space, negated: false },
  S: { ranges: space, negated: true },
}
const anyCharacter: Characters = { ranges: [[10, 10]], negated: true }
const controls: Readonly<Record<string, number>> = { t: 9, n: 10, r: 13, f: 12 }

class PatternReader {
  private readonly characters: readonly string[]
  private at: number
  private readonly folded: boolean
  private readonly limits: RuleLimits

  constructor(characters: readonly string[], at: number, folded: boolean, limits: RuleLimits) {
    this.characters = characters
    this.at = at
    this.folded = folded
    this.limits = limits
  }

  whole(): Node {
    const node = this.choice(0)
    if (this.at < this.characters.length) this.fail('a group that was not opened')
    return node
  }

  private fail(detail: string): never {
    throw new Unreadable(this.at, detail)
  }

  private take(character: string): boolean {
    if (this.characters[this.at] !== character) return false
    this.at++
    return true
  }

  private choice(depth: number): Node {
    if (depth > this.limits.patternDepth) this.fail('groups nested too deeply')
    const parts = [this.sequence(depth)]
    while (this.take('|')) parts.push(this.sequence(depth))
    return parts.length === 1 ? (parts[0] as Node) : { kind: 'choice', parts }
  }

  private sequence(depth: number): Node {
    const parts: Node[] = []
    for (;;) {
      const next = this.characters[this.at]
      if (next === undefined || next === '|' || next === ')') return { kind: 'sequence', parts }
      parts.push(this.repeated(this.single(next, depth)))
    }
  }

  private single(next: string, depth: number): Node {
    this.at++
    switch (next) {
      case '(':
        return this.group(depth)
      case '[':
        return this.one(this.bracket())
      case '.':
        return this.one(anyCharacter)
      case '^':
        return { kind: 'start' }
      case '$':
        return { kind: 'end' }
      case '\\':
        return this.one(this.escaped())
      case '*':
      case '+':
      case '?':
      case '{':
        this.at--
        return this.fail(`nothing for ${next} to repeat`)
      default:
        return this.one(exactly(next))
    }
  }

  private group(depth: number): Node {
    if (this.take('?') && !this.take(':')) this.fail('only (?:…) and (?i) in front are known of what begins with (?')
    const inner = this.choice(depth + 1)
    if (!this.take(')')) this.fail('a group that is not closed')
    return inner
  }

  private escaped(): Characters {
    const next = this.characters[this.at]
    if (next === undefined) this.fail('nothing behind the backslash')
    const known = classes[next] ?? (controls[next] === undefined ? undefined : single(controls[next]))
    if (!known && /[\p{L}\p{N}]/u.test(next)) this.fail(`\\${next} is not known here`)
    this.at++
    return known ?? exactly(next)
  }

  private bracket(): Characters {
    const negated = this.take('^')
    const ranges: (readonly [number, number])[] = []
    if (this.characters[this.at] === ']') this.fail('a class without a character; ] itself is written \\]')
    do {
      const low = this.member()
      if (low.length !== 1 || this.characters[this.at] !== '-' || this.characters[this.at + 1] === ']') {
        ranges.push(...low)
        continue
      }
      this.at++
      const high = this.member()
      const [from, to] = [low[0]?.[0] ?? 0, high[0]?.[0] ?? 0]
      if (high.length !== 1 || high[0]?.[1] !== to || low[0]?.[1] !== from || to < from) this.fail('no range')
      ranges.push([from, to])
    } while (!this.take(']'))
    return { ranges, negated }
  }

  /** One character of a class, or all that a `\d` stands for. */
  private member(): readonly (readonly [number, number])[] {
    const next = this.characters[this.at]
    if (next === undefined) this.fail('a class that is not closed')
    if (next === '[') this.fail('[ in a class is written \\[')
    if (next === '&' && this.characters[this.at + 1] === '&') this.fail('classes cannot be intersected')
    this.at++
    if (next !== '\\') return exactly(next).ranges
    const { ranges, negated } = this.escaped()
    if (negated) this.fail('the opposite of a class cannot stand in a class')
    return ranges
  }

  private repeated(part: Node): Node {
    const begun = this.at
    const bounds = this.bounds()
    if (!bounds) return part
    if (part.kind === 'start' || part.kind === 'end') throw new Unreadable(begun, 'a place to repeat')
    this.take('?') // Lazy: which way is tried first changes nothing where only finding counts.
    if (this.characters[this.at] === '+') this.fail('possessive repetition is not known here')
    return { kind: 'repeat', part, ...bounds }
  }

  private bounds(): { least: number; most: number | undefined } | undefined {
    if (this.take('*')) return { least: 0, most: undefined }
    if (this.take('+')) return { least: 1, most: undefined }
    if (this.take('?')) return { least: 0, most: 1 }
    if (this.characters[this.at] !== '{') return undefined
    const match = /^\{(\d{1,4})(,(\d{1,4})?)?\}/.exec(this.characters.slice(this.at, this.at + 12).join(''))
    if (!match) this.fail('{ begins a repetition as {2}, {2,} or {2,5}; the character itself is written \\{')
    const least = Number(match[1])
    const most = match[2] === undefined ? least : match[3] === undefined ? undefined : Number(match[3])
    if (most !== undefined && most < least) this.fail('a repetition of at most less than at least')
    this.at += match[0].length
    return { least, most }
  }

  private one(accepts: Characters): Node {
    return { kind: 'one', accepts: this.folded ? bothCases(accepts) : accepts }
  }
}

const single = (code: number): Characters => ({ ranges: [[code, code]], negated: false })
const exactly = (character: string) => single(character.codePointAt(0) ?? 0)

/** With the ASCII letters of the other case. */
function bothCases({ ranges, negated }: Characters): Characters {
  const shifted = (from: number, to: number, by: number) =>
    ranges
      .map(([low, high]) => [Math.max(low, from) + by, Math.min(high, to) + by] as const)
      .filter(([low, high]) => low <= high)
  return { ranges: [...ranges, ...shifted(65, 90, 32), ...shifted(97, 122, -32)], negated }
}

/** Writes out a node as instructions; every branch leads behind what it wrote. */
function write(node: Node, program: Instruction[], limit: number): void {
  if (program.length >= limit) throw new Unreadable(0, `more than ${limit} states`)
  switch (node.kind) {
    case 'one':
    case 'start':
    case 'end':
      program.push(node)
      return
    case 'sequence':
      for (const part of node.parts) write(part, program, limit)
      return
    case 'choice':
      writeChoice(node.parts, program, limit)
      return
    case 'repeat':
      for (let i = 0; i < node.least; i++) write(node.part, program, limit)
      if (node.most === undefined) writeLoop(node.part, program, limit)
      else writeOptional(node.part, node.most - node.least, program, limit)
  }
}

function writeChoice(parts: readonly Node[], program: Instruction[], limit: number): void {
  const jumps: number[] = []
  for (const [i, part] of parts.entries()) {
    const split = program.length
    if (i < parts.length - 1) program.push({ kind: 'jump', to: 0 })
    write(part, program, limit)
    if (i === parts.length - 1) break
    jumps.push(program.length)
    program.push({ kind: 'jump', to: 0 })
    program[split] = { kind: 'split', to: [split + 1, program.length] }
  }
  for (const jump of jumps) program[jump] = { kind: 'jump', to: program.length }
}

function writeLoop(part: Node, program: Instruction[], limit: number): void {
  const split = program.length
  program.push({ kind: 'jump', to: 0 })
  write(part, program, limit)
  program.push({ kind: 'jump', to: split })
  program[split] = { kind: 'split', to: [split + 1, program.length] }
}

function writeOptional(part: Node, times: number, program: Instruction[], limit: number): void {
  const splits: number[] = []
  for (let i = 0; i < times; i++) {
    splits.push(program.length)
    program.push({ kind: 'jump', to: 0 })
    write(part, program, limit)
  }
  for (const split of splits) program[split] = { kind: 'split', to: [split + 1, program.length] }
}

/** What is left of the steps that one evaluation may take. */
export interface Steps {
  left: number
}

/** Whether the pattern is found anywhere in a text; undefined where the steps ran out. */
export function isFound({ program }: Pattern, text: string, steps: Steps): boolean | undefined {
  const seen = new Int32Array(program.length).fill(-1)
  let waiting: number[] = []
  const codes = [...text].map((character) => character.codePointAt(0) ?? 0)
  for (let at = 0; at <= codes.length; at++) {
    // The pattern may begin here too; states that do not read are followed at once, each once a place.
    const pending = [0, ...waiting]
    const reading: Characters[] = []
    const next: number[] = []
    for (let state = pending.pop(); state !== undefined; state = pending.pop()) {
      if (seen[state] === at) continue
      seen[state] = at
      if (--steps.left < 0) return undefined
      const instruction = program[state]
      if (!instruction) continue
      switch (instruction.kind) {
        case 'found':
          return true
        case 'start':
          if (at === 0) pending.push(state + 1)
          break
        case 'end':
          if (at === codes.length) pending.push(state + 1)
          break
        case 'jump':
          pending.push(instruction.to)
          break
        case 'split':
          pending.push(...instruction.to)
          break
        case 'one':
          reading.push(instruction.accepts)
          next.push(state + 1)
      }
    }
    const code = codes[at]
    waiting = code === undefined ? [] : next.filter((_, i) => accepts(reading[i] as Characters, code))
  }
  return false
}

function accepts({ ranges, negated }: Characters, code: number): boolean {
  return ranges.some(([low, high]) => low <= code && code <= high) !== negated
}
