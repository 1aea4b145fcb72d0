import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../fixtures/process.js'
import { ready } from '../../setup/programs.mjs'
import { cases } from '../cases.js'
import { broken, complete, type Finding, type Look, type Measure, told, wants } from '../finding.js'
import { atMost } from '../world/openssl.js'
import { dotted, openSmtp, plainOf, type Smtp, submitted } from '../world/smtp-client.js'
import { type ClinicsWorld, doctor, idleSeconds, nobodyWrites, openClinics, plainNurse } from './clinics-world.js'
import { arrived, handedOn, messageIdOf, partsOf, written } from './handed-on.js'

type Case = (world: ClinicsWorld) => Promise<Look>

/**
 * How EHRs hand mail in and get it: ETT's SMTP cases and DirectTrust's, on bare sockets and with swaks. What must not be sent
 * is looked for at the end, after a quiet time.
 */
export async function smtp(measure: Measure): Promise<readonly Finding[]> {
  for (const name of ['swaks', 'python3'] as const)
    if (!ready(name))
      return complete('smtp', measure, []).map(({ id }) => ({ id, passed: false, seen: `SKIPPED: no ${name}` }))
  const closers: (() => Promise<unknown>)[] = []
  try {
    const world = await openClinics(measure, closers)
    measure.tell('smtp: EHRs hand in')
    const several = atMost(8)
    const looked = cases
      .filter(({ group, id }) => group === 'smtp' && wants(measure, id))
      .map(({ id }) => several(() => lookOf(id)(world).then(told(id), broken(id))))
    const findings = await Promise.all(looked)
    measure.tell('smtp: it is quiet')
    await sleep(measure.quietMs)
    const left = await leftBehind(world)
    return complete(
      'smtp',
      measure,
      findings.map((finding) => withLeft(finding, left)),
    )
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

/** Message-IDs of what came to where nothing may, at the other gateway or on its way there. */
async function leftBehind({ north, south, system, plain }: ClinicsWorld): Promise<readonly string[]> {
  const here = (await south.messages(nobodyWrites)).map(({ messageId }) => messageId)
  const pushed = [...system.caught.map(({ wire }) => wire.toString('latin1')), ...plain.heard]
    .filter((text) => text.includes(nobodyWrites))
    .map((text) => /^Message-ID: (\S+)/im.exec(text)?.[1] ?? 'without an id')
  const waiting = JSON.parse(await north.command('queue', 'list', '--json')) as readonly { readonly queue: string }[]
  const sending = waiting.filter(({ queue }) => /submi|outbound/.test(queue)).map(({ queue }) => `a job in ${queue}`)
  const quarantined = JSON.parse(await south.command('quarantine', 'list', '--json')) as readonly unknown[]
  return [...here, ...pushed, ...sending, ...quarantined.map(() => 'something in quarantine')]
}

/** Whose message it is, is told by its Message-ID; what nobody can be told to have sent speaks against all. */
function withLeft(finding: Finding, left: readonly string[]): Finding {
  const ids = new Map(cases.map(({ id }) => [messageIdOf(id).slice(1, -'@north.test>'.length), id]))
  const theirs = left.filter((one) => {
    const name = /^<([^@]+)@north\.test>$/.exec(one)?.[1]
    const owner = [...ids].find(([start]) => name === start || name?.startsWith(`${start}-`))?.[1]
    return owner === undefined || owner === finding.id
  })
  if (theirs.length === 0) return finding
  return { ...finding, passed: false, seen: `${finding.seen}, !! left behind: ${theirs.join(' ')}` }
}

/** A list of what is wrong, and the words of what was seen. */
function notes() {
  const wrong: string[] = []
  const seen: string[] = []
  return {
    wrong,
    /** Tells what was answered, and whether that is as it must be. */
    hear(what: string, answer: string, must: RegExp): string {
      seen.push(`${what}: ${answer.split('\n').at(-1)?.slice(0, 60)}`)
      if (!must.test(answer)) wrong.push(`${what} was answered ${answer.slice(0, 120)}`)
      return answer
    },
    look: (): Look => ({ seen: seen.join('; '), wrong }),
  }
}
type Notes = ReturnType<typeof notes>

/** A script in a session that is under TLS (one way and the other) and logged in. */
function loggedIn(script: (smtp: Smtp, heard: Notes, world: ClinicsWorld) => Promise<void>): Case {
  return async (world) => {
    const heard = notes()
    for (const implicit of [false, true]) {
      const smtp = await openSession(world, implicit)
      try {
        heard.hear('AUTH', await smtp.say(`AUTH PLAIN ${plainOf(world.login.account, world.login.secret)}`), /^235 /)
        await script(smtp, heard, world)
      } finally {
        smtp.close()
      }
    }
    return heard.look()
  }
}

/** Connects, and stands under TLS with EHLO said. Rejects where that is not to be had. */
async function openSession(world: ClinicsWorld, implicit: boolean): Promise<Smtp> {
  const { submissionPort, implicitTlsPort, ca, fresh } = world
  const at = implicit ? implicitTlsPort : submissionPort
  const smtp = await openSmtp(at, { from: fresh(), ...(implicit && { tls: ca }) })
  if (!implicit) {
    await smtp.say('EHLO ehr.test')
    const reply = await smtp.startTls(ca)
    if (!reply.startsWith('220')) throw new Error(`STARTTLS was answered ${reply}`)
  }
  const hello = await smtp.say('EHLO ehr.test')
  if (!/^250[ -]AUTH .*PLAIN/m.test(hello)) throw new Error(`no AUTH PLAIN under TLS: ${hello}`)
  return smtp
}

/** MAIL, RCPT to where nothing may arrive, and DATA. */
async function begun(smtp: Smtp, heard: Notes): Promise<void> {
  heard.hear('MAIL', await smtp.say(`MAIL FROM:<${doctor}>`), /^250 /)
  heard.hear('RCPT', await smtp.say(`RCPT TO:<${nobodyWrites}>`), /^250 /)
  heard.hear('DATA', await smtp.say('DATA'), /^354 /)
}

const badCommand = loggedIn(async (smtp, { hear }) => {
  hear('BADCMD', await smtp.say('BADCMD now'), /^50[02] /)
  hear('MAILX', await smtp.say(`MAILX FROM:<${doctor}>`), /^50[02] /)
  hear('NOOP', await smtp.say('NOOP'), /^250 /)
})

const outOfOrder = loggedIn(async (smtp, { hear }) => {
  hear('RCPT first', await smtp.say(`RCPT TO:<${nobodyWrites}>`), /^503 /)
  hear('DATA first', await smtp.say('DATA'), /^503 /)
  hear('MAIL', await smtp.say(`MAIL FROM:<${doctor}>`), /^250 /)
  hear('DATA without RCPT', await smtp.say('DATA'), /^50[13] |^554 /)
  hear('MAIL again', await smtp.say(`MAIL FROM:<${doctor}>`), /^503 /)
  hear('RSET', await smtp.say('RSET'), /^250 /)
})

/** Ends of DATA that are none: nothing may be taken, whatever is said afterwards. */
const badEnds = {
  'form feed': '\r\n.\f\r',
  'carriage return alone': '\r\n.\r',
  'line feeds': '\n.\n',
  'carriage returns': '\r.\r',
  mixed: '\n.\r\n',
  'mixed back': '\r\n.\n',
} as const

async function badEnd(world: ClinicsWorld, about: string, end: string): Promise<Look> {
  const heard = notes()
  const smtp = await openSession(world, false)
  try {
    await smtp.say(`AUTH PLAIN ${plainOf(world.login.account, world.login.secret)}`)
    await begun(smtp, heard)
    const content = written('SMTP-10', nobodyWrites, undefined, about)
    smtp.write(`${content.slice(0, -2)}${end}`)
    heard.hear(about, await smtp.reply(30_000), refusedOrOver)
    return heard.look()
  } finally {
    smtp.close()
  }
}
const refusedOrOver = /^(421|5\d\d) |^\((closed|silence)\)$/

const idle: Case = async (world) => {
  const waits = async (inData: boolean) => {
    const heard = notes()
    const smtp = await openSession(world, inData)
    try {
      await smtp.say(`AUTH PLAIN ${plainOf(world.login.account, world.login.secret)}`)
      if (inData) {
        await begun(smtp, heard)
        smtp.write('Subject: half\r\n')
      } else {
        heard.hear('MAIL', await smtp.say(`MAIL FROM:<${doctor}>`), /^250 /)
        heard.hear('RCPT', await smtp.say(`RCPT TO:<${nobodyWrites}>`), /^250 /)
      }
      const limitMs = (idleSeconds + 20) * 1000
      heard.hear(inData ? 'silence in DATA' : 'silence after RCPT', await smtp.reply(limitMs), /^421 /)
      heard.hear('then', await smtp.reply(limitMs), /^\(closed\)$/)
      return heard.look()
    } finally {
      smtp.close()
    }
  }
  return both(await Promise.all([waits(false), waits(true)]))
}

const both = (looks: readonly Look[]): Look => ({
  seen: looks.map(({ seen }) => seen).join('; '),
  wrong: looks.flatMap(({ wrong }) => wrong),
})

/** With the name of an account, and with one that nobody has: neither is told apart, and nothing goes on. */
const badLogin: Case = async (world) => {
  const heard = notes()
  const replies: string[] = []
  for (const [account, secret] of [
    [world.other.account, `${world.other.secret.slice(0, -1)}-`],
    ['nobody-of-this-name', world.other.secret],
  ] as const) {
    const smtp = await openSession(world, account !== world.other.account)
    try {
      replies.push(heard.hear('AUTH PLAIN', await smtp.say(`AUTH PLAIN ${plainOf(account, secret)}`), /^535 /))
      heard.hear('MAIL', await smtp.say(`MAIL FROM:<${doctor}>`), /^53[05] /)
      heard.hear('RCPT', await smtp.say(`RCPT TO:<${nobodyWrites}>`), /^5\d\d /)
      heard.hear('NOOP', await smtp.say('NOOP'), /^250 /)
    } finally {
      smtp.close()
    }
  }
  if (new Set(replies).size !== 1) heard.wrong.push(`accounts are told apart: ${replies.join(' and ')}`)
  return heard.look()
}

const tooLong = loggedIn(async (smtp, { hear }) => {
  hear('MAIL', await smtp.say(`MAIL FROM:<${doctor}>`), /^250 /)
  hear('75-octet local part', await smtp.say(`RCPT TO:<${'a'.repeat(75)}@south.test>`), /^5\d\d /)
  const long = `${'abcdefghi.'.repeat(26)}test`
  hear('domain over 255', await smtp.say(`RCPT TO:<quiet@${long}>`), /^5\d\d /)
  hear('line over 1000', await smtp.say(`NOOP ${'x'.repeat(1_100)}`), /^5\d\d /)
  hear('NOOP', await smtp.say('NOOP'), /^250 /)
})

const startTlsParameter: Case = async ({ submissionPort, ca, fresh }) => {
  const heard = notes()
  const smtp = await openSmtp(submissionPort, { from: fresh() })
  try {
    heard.hear('EHLO', await smtp.say('EHLO ehr.test'), /^250[ -]STARTTLS$/m)
    heard.hear('STARTTLS abcd', await smtp.say('STARTTLS abcd'), /^501 /)
    heard.hear('NOOP', await smtp.say('NOOP'), /^250 /)
    heard.hear('STARTTLS', await smtp.startTls(ca), /^220 /)
    heard.hear('EHLO', await smtp.say('EHLO ehr.test'), /^250[ -]/)
    return heard.look()
  } finally {
    smtp.close()
  }
}

/** RFC 3207 §4: nothing of worth before TLS, and nothing that was said before it counts inside. */
const plaintext: Case = async (world) => both([await inTheClear(world), await injected(world)])

async function inTheClear({ submissionPort, login, fresh }: ClinicsWorld): Promise<Look> {
  const heard = notes()
  const smtp = await openSmtp(submissionPort, { from: fresh() })
  try {
    heard.hear('EHLO', await smtp.say('EHLO ehr.test'), /^(?!.*\bAUTH\b).*STARTTLS/s)
    heard.hear('AUTH', await smtp.say(`AUTH PLAIN ${plainOf(login.account, login.secret)}`), /^53[08] /)
    heard.hear('MAIL', await smtp.say(`MAIL FROM:<${doctor}>`), /^530 /)
    return heard.look()
  } finally {
    smtp.close()
  }
}

/** What stands behind STARTTLS in the same packet was said by anybody on the network: it is not heard inside. */
async function injected({ submissionPort, ca, login, fresh }: ClinicsWorld): Promise<Look> {
  const heard = notes()
  const smtp = await openSmtp(submissionPort, { from: fresh() })
  try {
    await smtp.say('EHLO ehr.test')
    smtp.write('STARTTLS\r\nEHLO injected.test\r\nNOOP\r\n')
    const begun = heard.hear('STARTTLS with more behind it', await smtp.reply(), /^220 |^5\d\d |^\(closed\)$/)
    if (!begun.startsWith('220')) return heard.look()
    await smtp.secure(ca)
    heard.hear('EHLO', await smtp.say('EHLO ehr.test'), /^250[ -].*\bAUTH\b/s)
    heard.hear('AUTH', await smtp.say(`AUTH PLAIN ${plainOf(login.account, login.secret)}`), /^235 /)
    heard.hear('more', await smtp.reply(500), /^\(silence\)$/)
    return heard.look()
  } finally {
    smtp.close()
  }
}

/** Content that is none, whole and in order otherwise. */
const badContents: Readonly<Record<string, (content: string) => string>> = {
  'bare line feeds': (content) => content.replaceAll('\r\n', '\n'),
  'a bare line feed in the header': (content) => content.replace('\r\nSubject', '\nSubject'),
  'a bare line feed in the body': (content) => content.replace(/\r\n(--\S+--)/, '\n$1'),
  'a bare carriage return': (content) => content.replace(/\r\n(--\S+--)/, '\r$1'),
  'a NUL': (content) => content.replace(/(--\S+--)/, '\0$1'),
  'no header': () => 'What is this?\r\nNo header.\r\n',
  'another From': (content) => content.replace(`<${doctor}>`, '<somebody@elsewhere.test>'),
  'two From': (content) => `From: <${doctor}>\r\n${content}`,
}

const invalidData: Case = async (world) => {
  const several = atMost(3)
  const looks = Object.entries(badContents).map(([about, spoil]) =>
    several(async () => {
      const heard = notes()
      const smtp = await openSession(world, false)
      try {
        await smtp.say(`AUTH PLAIN ${plainOf(world.login.account, world.login.secret)}`)
        await begun(smtp, heard)
        const id = 'DT-SMTP-InvalidData'
        smtp.write(dotted(spoil(written(id, nobodyWrites, undefined, about))))
        const quiet = notes()
        quiet.hear(about, await smtp.reply(30_000), /^5\d\d /)
        return both([{ seen: '', wrong: heard.wrong }, quiet.look()])
      } finally {
        smtp.close()
      }
    }),
  )
  return both(await Promise.all(looks))
}

/** A message handed in arrives at the other EHR, and what stands on that wire is TLS; a system without it gets nothing. */
const pushed: Case = async (world) => {
  const { tap, plain, system } = world
  const heard = notes()
  const id = 'SMTP-2'
  const send = (about: string, to: string) =>
    submitted(world.submissionPort, world.ca, world.login, {
      from: doctor,
      to: [to],
      content: written(id, to, undefined, about),
    })
  heard.hear('to a system without TLS', await send('plain', plainNurse), /^250 /)
  heard.hear('to one with it', await send('', 'nurse@south.test'), /^250 /)
  const wire = await arrived(world, messageIdOf(id))
  const caught = system.caught.find((one) => one.wire === wire)
  heard.hear('pushed', caught ? `by ${caught.user}, TLS ${caught.encrypted}` : 'never', /^by gateway, TLS true$/)
  // Messages of other cases are pushed meanwhile: a dialogue that has only begun has said less.
  const dialogues = tap.heard.filter((said) => !/^(EHLO \S+\r\n(STARTTLS\r\n)?)?$/.test(said))
  if (dialogues.length === 0) heard.wrong.push('nobody came to the system with TLS')
  for (const said of dialogues) {
    // The server of the system speaks nothing older than TLS 1.2 (RFC 8446 §4.2.1 and Node's least).
    heard.hear('in the clear', JSON.stringify(said.slice(0, 60)), /^"EHLO \S+\\r\\nSTARTTLS\\r\\n\\u0016\\u0003/)
    if (said.includes('MAIL FROM') || said.includes('AUTH PLAIN')) heard.wrong.push('mail stands in the clear')
  }
  const tried = await until(() => plain.heard.find((said) => said !== ''), 30_000).catch(() => 'nothing')
  heard.hear('without TLS', JSON.stringify(tried.slice(0, 60)), /^"EHLO /)
  if (plain.heard.some((said) => /MAIL FROM|AUTH|DATA/i.test(said))) heard.wrong.push('mail or password without TLS')
  return heard.look()
}

/** STARTTLS and AUTH PLAIN on a bare socket, and mail that arrives. */
const accepted: Case = async (world) => {
  const heard = notes()
  const smtp = await openSession(world, false)
  try {
    heard.hear('TLS', smtp.protocol() ?? '', /^TLSv1\.[23]$/)
    heard.hear('AUTH', await smtp.say(`AUTH PLAIN ${plainOf(world.login.account, world.login.secret)}`), /^235 /)
  } finally {
    smtp.close()
  }
  return both([heard.look(), await handedOn(world, 'SMTP-16')])
}

const looks: Readonly<Record<string, Case>> = {
  'SMTP-2': pushed,
  'SMTP-16': accepted,
  'SMTP-10': async (world) =>
    both(await Promise.all(Object.entries(badEnds).map(([about, end]) => badEnd(world, about, end)))),
  'SMTP-11': outOfOrder,
  'SMTP-13': idle,
  'SMTP-22': badLogin,
  'SMTP-12': tooLong,
  'SMTP-17': startTlsParameter,
  'SMTP-PLAINTEXT': plaintext,
  'DT-SMTP-BadCommand': badCommand,
  'DT-SMTP-CommandTimeout': idle,
  'DT-SMTP-InvalidData': invalidData,
  'DT-SMTP-InvalidLogin': badLogin,
  'DT-SMTP-OutOfOrderCommand': outOfOrder,
}

/** The case of an id: a script of its own, or documents that are handed on. */
function lookOf(id: string): Case {
  const look = looks[id]
  if (look) return look
  if (!partsOf[id]) throw new Error(`${id} has no script`)
  return (world) => handedOn(world, id)
}
