/**
 * The policy engine of the reference implementation, as its parser, stack machine and fields work, over values that a test
 * gives: written apart from the translator, as its judge. Answers whether a certificate complies; throws where the engine does.
 */
export type EngineValue = number | string | boolean | readonly string[]
export type EngineFields = ReadonlyMap<string, EngineValue | undefined>

const operators = [
  '{}!',
  '{}&',
  '{}$',
  '{}',
  '{?}!',
  '{?}',
  '!=',
  '||',
  '&&',
  '@@',
  '=',
  '>',
  '<',
  '$',
  '^',
  '!',
  '&',
  '|',
]
const unary = new Set(['{}!', '{}', '^', '!', '@@'])

export function complies(policy: string, fields: EngineFields): boolean {
  const tokens: string[] = []
  let rest = policy.replaceAll('\ufeff', '')
  const names = [...fields.keys()].sort((a, b) => b.length - a.length)
  let literal = ''
  while (rest !== '') {
    const quoted = /^"([^"]*)"/.exec(rest)
    const special = quoted ? undefined : ['(', ')', ...operators, ...names].find((one) => rest.startsWith(one))
    if (!quoted && !special) {
      literal += rest[0]
      rest = rest.slice(1)
      continue
    }
    if (literal.trim()) tokens.push(`'${literal.trim()}`)
    literal = ''
    if (quoted) tokens.push(`'${quoted[1]}`)
    else tokens.push(special ?? '')
    rest = rest.slice(quoted ? quoted[0].length : (special ?? '').length)
    if (!quoted && names.includes(special ?? '') && rest.startsWith('+')) {
      if (empty(fields.get(special ?? ''))) throw new Error('PolicyRequiredException')
      rest = rest.slice(1)
    }
  }
  if (literal.trim()) tokens.push(`'${literal.trim()}`)

  function single(): EngineValue {
    const token = tokens.shift() ?? ''
    if (token === '(') return group()
    if (unary.has(token)) return apply(token, [single()])
    if (token.startsWith("'")) return token.slice(1)
    return absentAs(token, fields.get(token))
  }
  function group(): EngineValue {
    let value = single()
    for (let token = tokens.shift(); token !== undefined && token !== ')'; token = tokens.shift())
      value = apply(token, [value, single()])
    return value
  }
  return group() === true
}

const empty = (value: EngineValue | undefined) =>
  value === undefined || (typeof value === 'object' && value.length === 0)

function absentAs(name: string, value: EngineValue | undefined): EngineValue {
  if (value !== undefined) return value
  return name.endsWith('KeyUsage') ? 0 : ''
}

const list = (value: EngineValue | undefined) =>
  typeof value === 'object'
    ? value
    : String(value)
        .split(',')
        .map((one) => one.trim())
const truth = (value: EngineValue | undefined) => String(value).toLowerCase() === 'true'

function apply(operator: string, [one, other]: readonly EngineValue[]): EngineValue {
  switch (operator) {
    case '=':
      return String(one) === String(other)
    case '!=':
      return String(one) !== String(other)
    case '>':
      return Number(one) > Number(other)
    case '<':
      return Number(one) < Number(other)
    case '$':
      return new RegExp(String(other)).test(String(one))
    case '{?}':
      return list(one).includes(String(other))
    case '{?}!':
      return !list(one).includes(String(other))
    case '{}$':
      return list(one).some((value) => new RegExp(String(other)).test(value))
    case '{}&':
      return [...new Set(list(one))].filter((value) => list(other).includes(value))
    case '^':
      return list(one).length
    case '{}':
      return list(one).length === 0
    case '{}!':
      return list(one).length > 0
    case '&&':
      return truth(one) && truth(other)
    case '||':
      return truth(one) || truth(other)
    case '!':
      return !truth(one)
    case '&':
      return Number(one) & Number(other)
    case '|':
      return Number(one) | Number(other)
    default:
      throw new Error(operator)
  }
}
