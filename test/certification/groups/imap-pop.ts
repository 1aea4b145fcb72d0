import { ready } from '../../setup/programs.mjs'
import { broken, complete, type Finding, type Look, type Measure, told, wants } from '../finding.js'
import { type Imap, openImap } from '../world/imap.js'
import { atMost } from '../world/openssl.js'
import { messageOf, openPop, type Pop } from '../world/pop.js'
import { stockFetched } from '../world/stock.js'
import { closedLogin, type MailboxWorld, mailFaults, openMailbox } from './mailbox-world.js'

type Case = (world: MailboxWorld) => Promise<Look>

/**
 * What an edge client may do with its mailbox, on bare sockets: ETT's IMAP and POP cases and those of DirectTrust. Mail goes from
 * a far side through the gateway into the mailbox, and each case opens sessions of its own.
 */
export async function imapPop(measure: Measure): Promise<readonly Finding[]> {
  for (const name of ['dovecot', 'python3'] as const)
    if (!ready(name))
      return complete('imap-pop', measure, []).map(({ id }) => ({ id, passed: false, seen: `SKIPPED: no ${name}` }))
  const closers: (() => Promise<unknown>)[] = []
  try {
    const world = await openMailbox(measure, closers)
    measure.tell('imap-pop: clients read')
    const several = atMost(6)
    const findings = Object.entries(looks)
      .filter(([id]) => wants(measure, id))
      .map(([id, look]) => several(() => look(world).then(told(id), broken(id))))
    return complete('imap-pop', measure, await Promise.all(findings))
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

/** A list of what is wrong, and the words of what was seen. */
function notes() {
  const wrong: string[] = []
  const seen: string[] = []
  return {
    wrong,
    /** Tells what a command was answered, and whether that is as it must be. */
    hear(command: string, answer: string, must: RegExp): void {
      seen.push(`${command}: ${answer.slice(0, 60)}`)
      if (!must.test(answer)) wrong.push(`${command} was answered ${answer.slice(0, 120)}`)
    },
    look: (): Look => ({ seen: seen.join('; '), wrong }),
  }
}
type Notes = ReturnType<typeof notes>

/** One IMAP session under STARTTLS and one under TLS from the first byte, the case in each. */
function overImap(script: (imap: Imap, world: MailboxWorld, notes: Notes) => Promise<void>): Case {
  return async (world) => {
    const heard = notes()
    const { dovecot, fresh } = world
    const plain = await openImap(dovecot.imapPort, { from: fresh() })
    heard.hear('greeting', plain.greeting, /^\* OK .*STARTTLS.*LOGINDISABLED(?!.*AUTH=)/)
    const begun = await plain.startTls(dovecot.ca)
    heard.hear('STARTTLS', begun.status, /^OK$/)
    const secure = await openImap(dovecot.imapsPort, { from: fresh(), tls: dovecot.ca })
    for (const imap of [plain, secure])
      try {
        heard.hear('TLS', imap.protocol() ?? '', /^TLSv1\.[23]$/)
        await script(imap, world, heard)
      } finally {
        imap.close()
      }
    return heard.look()
  }
}

/** The same for POP3. */
function overPop(script: (pop: Pop, world: MailboxWorld, notes: Notes) => Promise<void>): Case {
  return async (world) => {
    const heard = notes()
    const { dovecot, fresh } = world
    const plain = await openPop(dovecot.popPort, { from: fresh() })
    heard.hear('greeting', plain.greeting, /^\+OK/)
    heard.hear('STLS', await plain.startTls(dovecot.ca), /^\+OK/)
    const secure = await openPop(dovecot.popsPort, { from: fresh(), tls: dovecot.ca })
    for (const pop of [plain, secure])
      try {
        heard.hear('TLS', pop.protocol() ?? '', /^TLSv1\.[23]$/)
        await script(pop, world, heard)
      } finally {
        pop.close()
      }
    return heard.look()
  }
}

/** Says a command; the status of its answer must be this. */
async function said(imap: Imap, { hear }: Notes, command: string, must: RegExp, shown = command) {
  const answer = await imap.say(command)
  hear(shown, `${answer.status} ${answer.text}`, must)
  return answer
}

async function popSaid(pop: Pop, { hear }: Notes, command: string, must: RegExp, shown = command) {
  const answer = await pop.say(command)
  hear(shown, answer, must)
  return answer
}

const ok = /^OK /
const refused = /^(BAD|NO) /
const plus = /^\+OK/
const minus = /^-ERR/

async function logIn(imap: Imap, { account, secret }: MailboxWorld, heard: Notes): Promise<void> {
  await said(imap, heard, `LOGIN ${account} ${secret}`, ok, 'LOGIN')
}

async function logInPop(pop: Pop, { account, secret }: MailboxWorld, heard: Notes): Promise<void> {
  await popSaid(pop, heard, `USER ${account}`, plus, 'USER')
  await popSaid(pop, heard, `PASS ${secret}`, plus, 'PASS')
}

/** AUTH PLAIN with an initial response (RFC 4959), in place of LOGIN. */
async function authenticate(imap: Imap, { account, secret }: MailboxWorld, heard: Notes): Promise<void> {
  const response = Buffer.from(`\0${account}\0${secret}`).toString('base64')
  await said(imap, heard, `AUTHENTICATE PLAIN ${response}`, ok, 'AUTHENTICATE PLAIN')
}

const miscellaneous = overImap(async (imap, world, heard) => {
  const { untagged } = await said(imap, heard, 'CAPABILITY', ok)
  heard.hear('capabilities', untagged.join(), /^\* CAPABILITY IMAP4rev1 .*AUTH=PLAIN/)
  await said(imap, heard, 'NOOP', ok)
  await logIn(imap, world, heard)
  await said(imap, heard, 'NOOP', ok)
  const parting = await said(imap, heard, 'LOGOUT', ok)
  heard.hear('parting', parting.untagged.join(), /^\* BYE/)
})

const retrieved = overImap(async (imap, world, heard) => {
  await authenticate(imap, world, heard)
  const selected = await said(imap, heard, 'SELECT INBOX', ok)
  heard.hear('EXISTS', selected.untagged.join(' '), new RegExp(`\\* ${world.letters.length} EXISTS`))
  const { literals, untagged } = await said(imap, heard, 'FETCH 1:* (RFC822.SIZE BODY[])', ok)
  const sizes = untagged.map((line) => Number(/RFC822\.SIZE (\d+)/.exec(line)?.[1]))
  if (literals.some(({ length }, n) => length !== sizes[n])) heard.wrong.push('a size is not what came')
  heard.wrong.push(...(await mailFaults(world.letters, literals)))
  await said(imap, heard, 'LOGOUT', ok)
})

const badSyntax = overImap(async (imap, world, heard) => {
  await said(imap, heard, 'CAPABILITYBAD', /^BAD /)
  await said(imap, heard, 'FETCH', /^BAD /)
  await said(imap, heard, 'LOGIN "unclosed', /^BAD /)
  // It survives, and serves.
  await logIn(imap, world, heard)
  await said(imap, heard, 'SELECT INBOX', ok)
  await said(imap, heard, 'FETCH 1 (BODY[', /^BAD /)
  await said(imap, heard, 'NOOP', ok)
})

const invalidState = overImap(async (imap, world, heard) => {
  // Dovecot hangs up at the third.
  for (const command of ['FETCH 1 BODY[]', 'SELECT INBOX']) {
    const { literals, untagged } = await said(imap, heard, command, refused)
    if (literals.length > 0 || untagged.some((line) => line.includes('FETCH'))) heard.wrong.push('something was told')
  }
  await said(imap, heard, 'NOOP', ok)
  await logIn(imap, world, heard)
  await said(imap, heard, 'FETCH 1 BODY[]', refused)
  await said(imap, heard, 'SELECT INBOX', ok)
})

/** One failed login, with a name that is there, and the rest of the session. */
const invalidLogin = (word: (world: MailboxWorld) => string) =>
  overImap(async (imap, world, heard) => {
    await said(imap, heard, `LOGIN ${world.account} ${word(world)}`, /^NO \[AUTHENTICATIONFAILED\]/, 'LOGIN')
    await said(imap, heard, 'SELECT INBOX', refused)
    await said(imap, heard, 'NOOP', ok)
  })

const popRetrieved = overPop(async (pop, world, heard) => {
  await logInPop(pop, world, heard)
  const [, count = '', octets = ''] = /^\+OK (\d+) (\d+)/.exec(await popSaid(pop, heard, 'STAT', plus)) ?? []
  const { lines: listed } = await pop.ask('LIST')
  const read: Buffer[] = []
  let stuffed = true
  for (let n = 1; n <= Number(count); n++) {
    const { first, lines, raw } = await pop.ask(`RETR ${n}`)
    heard.hear(`RETR ${n}`, first, plus)
    const message = messageOf(lines)
    read.push(message)
    if (listed[n - 1] !== `${n} ${message.length}`)
      heard.wrong.push(`LIST says ${listed[n - 1]}, not ${message.length}`)
    if (raw.split('\r\n').some((line, at) => line.startsWith('.') && line !== `.${lines[at]}`)) stuffed = false
  }
  if (!stuffed) heard.wrong.push('a dot is not doubled')
  if (read.reduce((sum, { length }) => sum + length, 0) !== Number(octets)) heard.wrong.push('STAT counts otherwise')
  heard.wrong.push(...(await mailFaults(world.letters, read)))
  await popSaid(pop, heard, 'DELE 1', plus)
  await popSaid(pop, heard, 'RSET', plus)
  await popSaid(pop, heard, 'STAT', new RegExp(`^\\+OK ${count} ${octets}`))
  await popSaid(pop, heard, 'QUIT', plus)
})

const popMiscellaneous = overPop(async (pop, world, heard) => {
  const { first, lines } = await pop.ask('CAPA')
  heard.hear('CAPA', `${first} ${lines.join(' ')}`, /^\+OK.*\bUIDL\b.*\bUSER\b|^\+OK.*\bUSER\b.*\bUIDL\b/)
  await logInPop(pop, world, heard)
  await popSaid(pop, heard, 'NOOP', plus)
  const { lines: ids } = await pop.ask('UIDL')
  if (new Set(ids.map((line) => line.split(' ')[1])).size !== world.letters.length)
    heard.wrong.push(`UIDL tells ${ids.join()}`)
  const { lines: top } = await pop.ask('TOP 1 0')
  if (top.at(-1) !== '' || !top.some((line) => /^message-id:/i.test(line))) heard.wrong.push('TOP is no header')
  await popSaid(pop, heard, 'QUIT', plus)
})

const popBadSyntax = overPop(async (pop, world, heard) => {
  await popSaid(pop, heard, 'BADSYN', minus)
  await logInPop(pop, world, heard)
  for (const command of ['BADSYN', 'RETR', 'RETR x', 'RETR 4711', 'DELE 0', 'TOP 1'])
    await popSaid(pop, heard, command, minus)
  await popSaid(pop, heard, 'NOOP', plus)
})

const popInvalidState = overPop(async (pop, world, heard) => {
  // Dovecot hangs up at the third.
  for (const command of ['STAT', 'RETR 1']) await popSaid(pop, heard, command, minus)
  await logInPop(pop, world, heard)
  await popSaid(pop, heard, `USER ${world.account}`, minus)
  await popSaid(pop, heard, 'STLS', minus)
  await popSaid(pop, heard, 'NOOP', plus)
})

const popInvalidLogin = overPop(async (pop, world, heard) => {
  await popSaid(pop, heard, `USER ${world.account}`, plus, 'USER')
  await popSaid(pop, heard, `PASS ${world.secret}x`, /^-ERR \[AUTH\]/, 'PASS')
  await popSaid(pop, heard, 'STAT', minus)
})

/** A second opinion: Python's clients read the same, over both protocols. */
const stock =
  (which: 'imap' | 'pop', own: Case): Case =>
  async (world) => {
    const { seen, wrong } = await own(world)
    const read = (await stockFetched(world.dovecot, world.account, world.secret))[which]
    const faults = await mailFaults(world.letters, read)
    return { seen: `${seen}; Python's client: ${read.length} messages`, wrong: [...wrong, ...faults] }
  }

/** An account that was disabled is refused as a wrong password is. */
const disabled =
  (own: Case): Case =>
  async (world) => {
    const closed = await closedLogin(world)
    const heard = notes()
    const imap = await openImap(world.dovecot.imapsPort, { from: world.fresh(), tls: world.dovecot.ca })
    await said(
      imap,
      heard,
      `LOGIN ${closed.account} ${closed.secret}`,
      /^NO \[AUTHENTICATIONFAILED\]/,
      'LOGIN disabled',
    )
    imap.close()
    const { seen, wrong } = await own(world)
    return { seen: `${heard.look().seen}; ${seen}`, wrong: [...heard.wrong, ...wrong] }
  }

const looks: Readonly<Record<string, Case>> = {
  'IMAP-201': miscellaneous,
  'IMAP-205': stock('imap', retrieved),
  'IMAP-209': badSyntax,
  'IMAP-210': invalidState,
  'IMAP-217': invalidLogin(({ secret }) => `${secret}x`),
  'IMAP-232': retrieved,
  'POP-301': popMiscellaneous,
  'POP-303': stock('pop', popRetrieved),
  'POP-309': popBadSyntax,
  'POP-310': popInvalidState,
  'POP-317': popInvalidLogin,
  'POP-332': popRetrieved,
  'DT-POP3-ExceptionPathBadSyntax': popBadSyntax,
  'DT-POP3-ExceptionPathInvalidLogin': popInvalidLogin,
  'DT-POP3-ExceptionPathInvalidState': popInvalidState,
  'DT-POP3-HappyPathMiscellaneousCommand': popMiscellaneous,
  'DT-POP3-HappyPathNOOPCommand': popMiscellaneous,
  'DT-POP3-HappyPathRetrieveDirectMessage': popRetrieved,
  'DT-IMAP-ExceptionPathBadSyntax': badSyntax,
  'DT-IMAP-ExceptionPathInvalidLogin': disabled(invalidLogin(() => '""')),
  'DT-IMAP-ExceptionPathInvalidState': invalidState,
  'DT-IMAP-HappyPathMiscellaneousCommand': miscellaneous,
  'DT-IMAP-HappyPathNOOPCommand': miscellaneous,
  'DT-IMAP-HappyPathRetrieveDirectMessage': retrieved,
}
