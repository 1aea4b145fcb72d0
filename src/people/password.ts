import type { PeopleLimits } from './limits.js'

export type PasswordProblem = 'too-short' | 'too-long' | 'too-common' | 'tells-of-you'

/** As it is hashed and compared: one form for what keyboards write differently (NIST SP 800-63B-4 §3.1.1.2, NFKC). */
export function normalPassword(text: string): string {
  return text.normalize('NFKC')
}

/**
 * Why a password is refused; undefined where it is not. No rules of composition (NIST SP 800-63B-4 §3.1.1.2): refused is
 * what is short, what is guessed first, and what holds the person's own name or address.
 */
export function judgePassword(
  text: string,
  { email, name }: { readonly email: string; readonly name: string },
  limits: PeopleLimits,
): PasswordProblem | undefined {
  const password = normalPassword(text)
  const characters = [...password].length
  if (characters < limits.passwordMinCharacters) return 'too-short'
  if (characters > limits.passwordMaxCharacters) return 'too-long'
  const folded = password.toLowerCase()
  if (isCommon(folded)) return 'too-common'
  const [local = '', domain = ''] = email.toLowerCase().split('@')
  const own = [
    email.toLowerCase(),
    local,
    domain.split('.')[0] ?? '',
    ...name.normalize('NFKC').toLowerCase().split(/\s+/),
  ]
  // What is left without one's own words must still be long enough to count for something.
  const left = own.filter((word) => word.length >= 4).reduce((rest, word) => rest.replaceAll(word, ''), folded)
  return [...left].length < limits.passwordMinCharacters / 2 || folded.includes(email.toLowerCase())
    ? 'tells-of-you'
    : undefined
}

/**
 * What guessers try first: a few hundred words, one or two or three of them, with digits and marks about them and letters
 * written as digits; runs of the keyboard, of the alphabet and of digits; and anything that only repeats itself.
 */
function isCommon(folded: string): boolean {
  if (isRepeated(folded) || isRun(folded)) return true
  return [folded, unleet(folded, 'l'), unleet(folded, 'i')].some((text) => {
    const letters = text.replace(/[^\p{L}]/gu, '')
    const others = [...text].length - [...letters].length
    return letters.length > 0 && others <= 8 && (isOfWords(letters, 3) || isRepeated(letters) || isRun(letters))
  })
}

const asLetters: Readonly<Record<string, string>> = {
  '0': 'o',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '@': 'a',
  $: 's',
}

function unleet(text: string, one: string): string {
  return text.replace(/[034571@$!]/g, (mark) => (mark === '1' || mark === '!' ? one : (asLetters[mark] ?? mark)))
}

/** The whole is one unit over and over, or has no more than three different characters. */
function isRepeated(text: string): boolean {
  const characters = [...text]
  if (new Set(characters).size <= 3) return true
  for (let unit = 1; unit <= 6; unit++) {
    if (characters.every((character, at) => character === characters[at % unit])) return true
  }
  return false
}

const runs = [
  '01234567890123456789',
  'abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz',
  'qwertyuiopasdfghjklzxcvbnm',
  'qwertzuiopasdfghjklyxcvbnm',
  'azertyuiopqsdfghjklmwxcvbn',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p',
  '1q2w3e4r5t6y7u8i9o0p',
  'qazwsxedcrfvtgbyhnujmikolp',
]
const bothWays = runs.flatMap((run) => [run, [...run].toReversed().join('')])

/** Made of at most three stretches of such runs, each of at least three characters. */
function isRun(text: string): boolean {
  let rest = text
  for (let stretch = 0; stretch < 3; stretch++) {
    let length = rest.length
    while (length >= 3 && !bothWays.some((run) => run.includes(rest.slice(0, length)))) length--
    if (length < 3) return false
    rest = rest.slice(length)
    if (rest === '') return true
  }
  return false
}

/** Whether a text is at most so many of the commonest words after one another. */
function isOfWords(text: string, most: number): boolean {
  if (text === '') return true
  if (most === 0) return false
  for (let length = Math.min(text.length, longestWord); length >= 1; length--) {
    if (commonWords.has(text.slice(0, length)) && isOfWords(text.slice(length), most - 1)) return true
  }
  return false
}

const commonWords = new Set(
  `a i my me the to is it of in on and you your we our for
password passwort passwords pass passw word contrasena senha motdepasse wachtwoord parola haslo
admin administrator root user username guest test testing demo login signin logon account access system server
welcome willkommen bienvenue hello hallo bonjour hola letmein letme open sesame opensesame changeme change secret geheim
iloveyou love loveyou lover ilove ich liebe dich jetaime teamo tequiero forever always never baby babygirl babyboy
qwerty qwertz azerty qwertyuiop asdf asdfgh asdfghjkl zxcvbn zxcvbnm qaz wsx abc abcd abcdef abcdefg xyz
monkey dragon tiger lion eagle falcon wolf bear horse pony dog cat kitty puppy bunny rabbit fish chicken butterfly
football baseball basketball soccer hockey golf tennis fussball futbol liverpool chelsea arsenal barcelona madrid juventus
bayern dortmund yankees cowboys steelers lakers packers raiders rangers redsox patriots eagles
superman batman spiderman ironman starwars startrek pokemon pikachu naruto minecraft fortnite roblox matrix trustno
harry potter hermione gandalf frodo hobbit simpsons mickey mouse donald duck princess prince king queen angel angels devil
sunshine summer winter spring autumn fall sommer winter january february march april may june july august september october
november december monday tuesday wednesday thursday friday saturday sunday
michael jennifer jessica ashley daniel david thomas charlie jordan michelle nicole andrew matthew joshua robert john james
william george anthony joseph richard charles jackson maria anna peter paul martin andreas stefan christian alexander
samantha amanda sarah laura melissa elizabeth hannah olivia emma sophie lisa julia katie emily justin brandon tyler
jesus christ god heaven church faith hope grace blessed lord
computer internet windows microsoft google apple samsung iphone android facebook instagram twitter youtube yahoo hotmail
gmail amazon linux oracle cisco
health healthvault doctor nurse clinic hospital patient patients medical medicine record records direct gateway heart care
master mustang ferrari porsche mercedes corvette harley yamaha honda toyota camaro chevy
cheese cookie chocolate coffee banana orange apple pepper ginger sugar honey cherry peanut butter pizza
money dollar bank cash lucky winner power energy phoenix shadow hunter killer ninja warrior soldier ranger
freedom liberty america usa england london paris berlin france germany deutschland canada texas florida california chicago
boston newyork york london dallas houston australia sydney brazil mexico
purple yellow silver golden gold blue red green black white pink orange rainbow diamond crystal flower rose
happy sexy hot cool pretty beautiful sweet sweetie honey smile friend friends bestfriend family mother father mommy daddy mama
papa sister brother son daughter
music guitar piano rock metallica nirvana eminem beatles elvis dance
school college student teacher class
whatever nothing something anything everything please thanks correct horse battery staple
new old big bad best first last one two three four five six seven eight nine ten zero hundred thousand
asd qwe zxc q w e r t y x z s n`
    .split(/\s+/)
    .filter((word) => word !== ''),
)
const longestWord = Math.max(...[...commonWords].map((word) => word.length))
