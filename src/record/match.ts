import type { Demographics } from '../direct/clinical.js'
import type { Identifier, PartialDate, PersonName } from '../direct/datatypes.js'
import { momentOf, sameMoment } from './reconcile/moment.js'

/** Whether a document is about the patient of a record, and what was compared. */
export interface PatientMatch {
  /** `mismatch`: somebody else, as far as anybody can tell; `unknown`: too little to say, or signs for both. */
  readonly kind: 'match' | 'mismatch' | 'unknown'
  /** What agreed and what did not, one word each: `name agrees`, `birth date differs`; never what it is. */
  readonly reasons: readonly string[]
  /** SHA-256 of the documents that tell of somebody else, where it is held for what other documents say. */
  readonly against?: readonly string[]
}

/** Somebody else, as it seems, whom documents of the record tell of: the digest of what they say, and what differs. */
export interface Stranger {
  readonly patient: string
  readonly reasons: readonly string[]
}

/** How one trait of two people compares; `partly`: as after a marriage, or where only a year is known. */
type Compared = 'agrees' | 'partly' | 'differs' | 'silent'

/**
 * Compares the patient of a document with the patient that a record knows. Never a match on one trait alone, and never by
 * an identifier against the name: identifiers are copied. Twins (one family name and birth date, two given names) and
 * namesakes (one name, two birth dates) are mismatches; a change of family name wants a further trait that agrees.
 */
export function matchPatient(document: Demographics | undefined, known: Demographics | undefined): PatientMatch {
  if (!known) return { kind: 'unknown', reasons: ['the record knows no patient yet'] }
  if (!document) return { kind: 'unknown', reasons: ['the document names no patient'] }
  const traits = {
    name: compareNames(document.names, known.names),
    'birth date': compareBirth(document.birthDate, known.birthDate),
    sex: compareSex(document, known),
    identifier: compareIdentifiers(document.identifiers, known.identifiers),
    home: compareHomes(document, known),
  }
  const reasons = Object.entries(traits).map(
    ([trait, how]) => `${trait} ${how === 'partly' ? 'agrees in part' : how === 'silent' ? 'cannot be compared' : how}`,
  )
  return { kind: verdict(traits), reasons }
}

/**
 * The patients who are clearly not this one. Asked where nobody could say whose a document is: what is proposed
 * to one record is about one person, even before anybody said who that is.
 */
export function strangersAmong(
  patient: Demographics | undefined,
  told: ReadonlyMap<string, Demographics>,
): readonly Stranger[] {
  return [...told].flatMap(([digest, other]) => {
    const { kind, reasons } = matchPatient(patient, other)
    const differing = reasons.filter((reason) => reason.endsWith('differs'))
    return kind === 'mismatch' ? [{ patient: digest, reasons: differing }] : []
  })
}

function verdict(
  traits: Readonly<Record<'name' | 'birth date' | 'sex' | 'identifier' | 'home', Compared>>,
): PatientMatch['kind'] {
  const { name, 'birth date': birth, sex, identifier, home } = traits
  const others = [identifier, home].filter((how) => how === 'agrees').length
  const against = [name, birth, sex].filter((how) => how === 'differs').length
  if (against > 1) return 'mismatch'
  // One trait against all others may be a slip of the pen: a person decides.
  if (name === 'differs') return birth === 'agrees' && identifier === 'agrees' ? 'unknown' : 'mismatch'
  if (birth === 'differs') return name === 'agrees' && identifier === 'agrees' ? 'unknown' : 'mismatch'
  if (sex === 'differs') return name === 'agrees' && birth === 'agrees' ? 'unknown' : 'mismatch'
  if (identifier === 'differs') return 'unknown'
  if (name === 'agrees' && birth === 'agrees') return 'match'
  if (name === 'agrees' && (birth === 'partly' || identifier === 'agrees')) return others > 0 ? 'match' : 'unknown'
  if (name === 'partly' && birth === 'agrees') return others > 0 ? 'match' : 'unknown'
  return 'unknown'
}

interface Name {
  readonly family: readonly string[]
  readonly given: readonly string[]
  readonly suffix: string
}

/** The best of all pairs: former names, maiden names and nicknames stand beside the legal one. */
function compareNames(one: readonly PersonName[], other: readonly PersonName[]): Compared {
  const pairs = one.map(nameOf).flatMap((a) => other.map(nameOf).map((b) => compareName(a, b)))
  return (['agrees', 'partly', 'differs'] as const).find((how) => pairs.includes(how)) ?? 'silent'
}

function compareName(one: Name, other: Name): Compared {
  if (one.family.length === 0 || other.family.length === 0) return 'silent'
  const family = one.family.some((word) => other.family.includes(word))
  const given = one.given.length === 0 || other.given.length === 0 ? undefined : sameGiven(one.given, other.given)
  if (family && given === undefined) return 'partly'
  if (family && given) return one.suffix && other.suffix && one.suffix !== other.suffix ? 'partly' : 'agrees'
  // Somebody who married: the given name stayed.
  return !family && given && one.given[0] === other.given[0] ? 'partly' : 'differs'
}

/** The first names are one, or one is the other's initial, or stands among the other's. */
function sameGiven(one: readonly string[], other: readonly string[]): boolean {
  const [mine = '', theirs = ''] = [one[0], other[0]]
  if (mine.length === 1 || theirs.length === 1) return mine[0] === theirs[0]
  return one.includes(theirs) || other.includes(mine)
}

function nameOf({ given, family, suffix, text }: PersonName): Name {
  if (family === undefined && given.length === 0 && text !== undefined) {
    const [before = '', after] = text.split(',', 2)
    const words = wordsOf(before)
    if (after !== undefined) return { family: words, given: wordsOf(after), suffix: '' }
    return { family: words.slice(-1), given: words.slice(0, -1), suffix: '' }
  }
  return { family: wordsOf(family ?? ''), given: given.flatMap(wordsOf), suffix: wordsOf(suffix ?? '').join(' ') }
}

/** Words without case, accents and punctuation: a hyphened name is both of its parts. */
function wordsOf(text: string): readonly string[] {
  return text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/['’.]/g, '')
    .split(/[^\p{L}\p{N}]+/u)
    .filter(Boolean)
}

function compareBirth(one: PartialDate | undefined, other: PartialDate | undefined): Compared {
  const [mine, theirs] = [momentOf(one), momentOf(other)].map((moment) => moment && { text: moment.text.slice(0, 10) })
  if (!mine || !theirs) return 'silent'
  if (!sameMoment(mine, theirs)) return 'differs'
  return mine.text.length < 10 || theirs.text.length < 10 ? 'partly' : 'agrees'
}

/** Administrative sex; what a source calls undifferentiated or unknown says nothing against anybody. */
function compareSex(one: Demographics, other: Demographics): Compared {
  const [mine, theirs] = [sexOf(one), sexOf(other)]
  if (mine === undefined || theirs === undefined) return 'silent'
  return mine === theirs ? 'agrees' : 'differs'
}

function sexOf({ gender, birthSex }: Demographics): string | undefined {
  for (const concept of [birthSex, gender]) {
    const words = [...(concept?.codings.map(({ code }) => code) ?? []), concept?.text ?? ''].map((text) =>
      text.trim().toLowerCase(),
    )
    const known = words.map((text) => sexes.get(text)).find((sex) => sex !== undefined)
    if (known !== undefined) return known
  }
  return undefined
}

const sexes = new Map([
  ...['m', 'male', '248153007'].map((word) => [word, 'male'] as const),
  ...['f', 'female', '248152002'].map((word) => [word, 'female'] as const),
])

const socialSecurity = '2.16.840.1.113883.4.1'

/** An identifier in common agrees; two social security numbers differ; two numbers of one clinic are silent, as files get merged. */
function compareIdentifiers(one: readonly Identifier[], other: readonly Identifier[]): Compared {
  const mine = one.flatMap(numberOf)
  const theirs = other.flatMap(numberOf)
  const social = (numbers: readonly string[]) => numbers.filter((number) => number.startsWith(`${socialSecurity}^`))
  const [own, others] = [social(mine), social(theirs)]
  if (own.length > 0 && others.length > 0 && !own.some((number) => others.includes(number))) return 'differs'
  return mine.some((number) => theirs.includes(number)) ? 'agrees' : 'silent'
}

function numberOf({ root = '', value = '' }: Identifier): readonly string[] {
  const number = value.replace(/[\s-]/g, '').toLowerCase()
  return number === '' ? [] : [`${root.trim()}^${number}`]
}

/** The same street and postal code, or the same telephone or mail address; people move, so others say nothing. */
function compareHomes(one: Demographics, other: Demographics): Compared {
  const places = ({ addresses }: Demographics) =>
    addresses.flatMap(({ lines, postalCode }) => {
      const street = wordsOf(lines.join(' ')).join(' ')
      return street === '' || !postalCode ? [] : [`${street} ${postalCode.replace(/\s/g, '').slice(0, 5)}`]
    })
  const calls = ({ telecoms }: Demographics) =>
    telecoms.flatMap(({ value }) => {
      const call = value.replace(/^(tel|mailto):/i, '').toLowerCase()
      const digits = call.replace(/\D/g, '').slice(-10)
      return call.includes('@') ? [call] : digits.length >= 7 ? [digits] : []
    })
  const shared =
    places(one).some((place) => places(other).includes(place)) || calls(one).some((call) => calls(other).includes(call))
  return shared ? 'agrees' : 'silent'
}
