import { afterEach, describe, expect, test } from 'vitest'
import { StoreFailed } from '../../src/ports/store.js'
import { made } from '../directory/worlds.js'
import { type Peer, peer, rudePeer, securePeer, sleep, until } from './peer.js'
import {
  anna,
  ben,
  far,
  message,
  newCertificate,
  other,
  plain,
  type Submitting,
  send,
  submitting,
} from './submitting.js'

let here: Submitting

afterEach(() => here?.listener.close(0))

describe('a message', () => {
  test('is taken after TLS and AUTH, and is durable and owed to its recipients before 250', async () => {
    here = await submitting()
    const client = await here.known()
    const reply = await send(client, message({ more: 'Bcc: hidden@far.example\r\n' }), { to: [far, ben, far] })
    expect(reply).toMatch(/^250 2\.0\.0 [a-z2-7]{26} accepted$/)
    const [submission] = await here.sentBy(anna)
    expect(reply).toContain(submission?.id ?? 'none')
    expect(submission).toMatchObject({ from: anna, messageId: '<1@ehr.example>', subject: 'Results' })
    expect(submission?.recipients.map(({ recipient }) => recipient).sort()).toEqual([ben, far])
    const stored = await here.storedMessage(anna)
    expect(stored).not.toContain('hidden')
    expect(stored).toMatch(/^Date: /m)
    expect(stored).toMatch(/^MIME-Version: 1\.0/m)
    expect(stored).toContain('All is well.\r\n')
    const told = (await here.store.log('audit', 1, 1000)).map(({ value }) => Buffer.from(value).toString())
    expect(told.find((text) => text.includes('message.submit'))).toContain('account:ehr')
  })

  test('comes over TLS from the first byte as well', async () => {
    here = await submitting()
    const client = await here.secured()
    const ehlo = await client.say('EHLO ehr.example')
    expect(ehlo).toContain('AUTH PLAIN LOGIN')
    expect(ehlo).not.toContain('STARTTLS')
    expect(await client.say('STARTTLS')).toMatch(/^503/)
    expect(await client.say(`AUTH PLAIN ${plain('ehr', here.secret)}`)).toBe('235 2.7.0 Authentication successful')
    expect(await send(client)).toMatch(/^250/)
    expect(await here.sentBy(anna)).toHaveLength(1)
  })

  test('sent again is the same one; another under its Message-ID is refused', async () => {
    here = await submitting()
    const client = await here.known()
    const first = await send(client)
    expect(await send(client)).toBe(first)
    expect(await here.sentBy(anna)).toHaveLength(1)
    expect(await send(client, `${message()}More.\r\n`)).toBe('554 5.6.0 Message-ID was used before')
    expect(await send(client, message(), { to: [ben] })).toMatch(/^250/)
    expect(await here.sentBy(anna)).toHaveLength(2)
  })

  test('without Date, Message-ID and MIME-Version gets them', async () => {
    here = await submitting()
    expect(await send(await here.known(), `From: ${anna}\r\nTo: ${far}\r\n\r\nhello\r\n`)).toMatch(/^250/)
    const stored = await here.storedMessage(anna)
    for (const field of ['Date: ', 'Message-ID: <', 'MIME-Version: 1.0']) expect(stored).toContain(`\r\n${field}`)
  })

  test('comes byte by byte as well as at once, with its dots', async () => {
    here = await submitting()
    const client = await here.known()
    for (const line of [`MAIL FROM:<${anna}>`, `RCPT TO:<${far}>`, 'DATA']) await client.say(line)
    for (const byte of `${message()}..\r\n...x\r\n.\r\n`) {
      client.write(byte)
      await new Promise(setImmediate)
    }
    expect(await client.reply()).toMatch(/^250/)
    expect(Buffer.from(here.handedIn[0]?.message ?? []).toString()).toBe(`${message()}.\r\n..x\r\n`)
  })

  test.each([
    [
      'an encrypted one',
      'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n',
      /^554 5\.6\.0 Submit the message itself/,
    ],
    [
      'two Subjects',
      'Subject: again\r\n',
      /^554 5\.6\.0 Message could not be accepted: malformed-message \(subject stands twice\)$/,
    ],
    ['another Sender', `Sender: ${ben}\r\n`, /^550 5\.7\.1 /],
    ['two From fields', `From: ${anna}\r\n`, /^554 5\.6\.0 Message could not be accepted: several-senders/],
  ])('that cannot be sent as it is, is refused by name: %s', async (_, more, words) => {
    here = await submitting()
    const client = await here.known()
    expect(await send(client, message({ more }))).toMatch(words)
    expect(await here.sentBy(anna)).toEqual([])
    expect(await send(client)).toMatch(/^250/)
  })

  test('speaks for nobody but the senders of its account', async () => {
    here = await submitting({ limits: { errors: 100 } })
    const client = await here.known()
    for (const from of [other, far, 'nobody@clinic.example', 'anna@sub.clinic.example'])
      expect(await send(client, message({ from }), { from })).toBe('550 5.7.1 Not an address that you may send as')
    for (const from of [other, far, 'nobody@clinic.example'])
      expect([from, await send(client, message({ from }))]).toEqual([
        from,
        '550 5.7.1 From must be the address that submits',
      ])
    expect(await send(client, message({ from: ben }))).toBe('550 5.7.1 From must be the address that submits')
    expect(await send(client, 'Subject: nobody\r\n\r\n')).toMatch(
      /^554 5\.6\.0 Message could not be accepted: no-sender/,
    )
    expect(await send(client, message({ from: other }), { from: '' })).toMatch(/^550 5\.7\.1/)
    expect([...(await here.sentBy(anna)), ...(await here.sentBy(other)), ...(await here.sentBy(ben))]).toEqual([])
    expect(await send(client, message(), { from: '' })).toMatch(/^250/)
    expect(await send(client, message({ from: 'Anna Example <ANNA@Clinic.Example>', id: '<2@e>' }))).toMatch(/^250/)
  })

  test('goes to whoever has a valid address, up to a hundred, each once', async () => {
    here = await submitting({ limits: { errors: 100 } })
    const client = await here.known()
    await client.say(`MAIL FROM:<${anna}>`)
    for (const path of ['x', '"q q"@far.example', `${'x'.repeat(75)}@far.example`, `a@${'x.'.repeat(130)}example`])
      expect(await client.say(`RCPT TO:<${path}>`)).toBe('553 5.1.3 Not a valid address')
    for (let i = 0; i < 100; i++) expect(await client.say(`RCPT TO:<r${i}@far.example>`)).toMatch(/^250/)
    expect(await client.say('RCPT TO:<R7@FAR.example>')).toMatch(/^250/)
    expect(await client.say('RCPT TO:<more@far.example>')).toBe('452 4.5.3 Too many recipients')
    await client.say('DATA')
    client.write(`${message()}.\r\n`)
    expect(await client.reply()).toMatch(/^250/)
    expect((await here.sentBy(anna))[0]?.recipients).toHaveLength(100)
  })

  test('of an account that ended meanwhile goes nowhere', async () => {
    here = await submitting()
    const client = await here.known()
    expect(await send(client)).toMatch(/^250/)
    made(await here.directory.accounts.setDisabled('ehr', true, 'operator'))
    expect(await send(client, message({ id: '<2@e>' }))).toMatch(/^550 5\.7\.1/)
    expect(await send(client, message({ id: '<2@e>' }), { from: '' })).toMatch(/^550 5\.7\.1/)
    expect(await here.sentBy(anna)).toHaveLength(1)
  })

  test('that the store cannot keep is asked for again', async () => {
    let healthy = true
    let room = true
    here = await submitting({
      submit: () => Promise.reject(new StoreFailed('disk')),
      healthy: () => healthy,
      room: async () => room,
    })
    const client = await here.known()
    expect(await send(client)).toBe('451 4.3.0 Temporary failure, try again later')
    healthy = false
    expect(await send(client)).toMatch(/^451 4\.3\.0/)
    healthy = true
    room = false
    expect(await send(client)).toBe('452 4.3.1 Insufficient system storage')
  })
})

describe('before TLS', () => {
  test('nothing of worth is heard', async () => {
    here = await submitting()
    const lines = [
      'MAIL FROM:<anna@clinic.example>',
      'RCPT TO:<a@far.example>',
      'DATA',
      'AUTH PLAIN AAAA',
      'auth login',
      'HELP',
      'FOO',
    ]
    await Promise.all(
      lines.map(async (line) => {
        const client = await peer(here.port)
        const ehlo = await client.say('EHLO p')
        expect(ehlo).toContain('STARTTLS')
        expect(ehlo).not.toContain('AUTH')
        expect([line, await client.say(line)]).toEqual([line, '530 5.7.0 Must issue a STARTTLS command first'])
        for (const harmless of ['NOOP', 'RSET', 'VRFY a@b.example', 'HELO p'])
          expect(await client.say(harmless)).toMatch(/^25/)
        expect(await client.say('STARTTLS')).toMatch(/^220/)
      }),
    )
  })

  test('credentials that are said all the same are not even looked at', async () => {
    let asked = 0
    here = await submitting()
    const { listener } = here
    here = await submitting({
      accounts: {
        authenticate: async () => {
          asked++
          return undefined
        },
        maySendAs: async () => true,
      },
    })
    await listener.close(0)
    const client = await peer(here.port)
    await client.say('EHLO p')
    expect(await client.say(`AUTH PLAIN ${plain('ehr', here.secret)}`)).toMatch(/^530/)
    expect(await client.say('AUTH LOGIN')).toMatch(/^530/)
    expect(asked).toBe(0)
  })

  test('STARTTLS takes no parameter, and is there once', async () => {
    here = await submitting({ limits: { errors: 100 } })
    const client = await peer(here.port)
    await client.say('EHLO p')
    expect(await client.say('STARTTLS abcd')).toMatch(/^501 5\.5\.4/)
    expect(await client.say('STARTTLS')).toMatch(/^220/)
    const secured = await client.secure()
    await secured.say('EHLO p')
    expect(await secured.say('STARTTLS')).toMatch(/^503/)
  })

  test.each([1, 150])('what comes behind STARTTLS is thrown away, AUTH too (%i times)', async (times) => {
    here = await submitting({ limits: { errors: 1000 } })
    const client = await peer(here.port)
    await client.say('EHLO p')
    const auth = `AUTH PLAIN ${plain('ehr', here.secret)}\r\n`
    client.write(`STARTTLS\r\n${`EHLO i\r\n${auth}`.repeat(times)}MAIL FROM:<${anna}>\r\nNOOP\r\n`)
    expect(await client.reply()).toMatch(/^220/)
    const secured = await client.secure()
    await sleep(50)
    expect(await secured.say('NOOP')).toBe('250 2.0.0 OK')
    expect(await secured.say(`MAIL FROM:<${anna}>`)).toBe('530 5.7.0 Authentication required')
    expect(await secured.say(auth.trim())).toMatch(/^503 5\.5\.1 Send EHLO first/)
  })
})

describe('AUTH', () => {
  const login = (name: string) => Buffer.from(name).toString('base64')

  test('is demanded before MAIL, announced over TLS, and there once', async () => {
    here = await submitting({ limits: { errors: 100 } })
    const client = await here.greeted()
    expect(await client.say('EHLO ehr.example')).toContain('250-AUTH PLAIN LOGIN')
    for (const line of [`MAIL FROM:<${anna}>`, `RCPT TO:<${far}>`, 'DATA'])
      expect(await client.say(line)).toBe('530 5.7.0 Authentication required')
    expect(await client.say(`AUTH PLAIN ${plain('ehr', here.secret)}`)).toMatch(/^235 2\.7\.0/)
    expect(await client.say(`AUTH PLAIN ${plain('ehr', here.secret)}`)).toBe('503 5.5.1 Already authenticated')
    expect(await client.say('EHLO ehr.example')).not.toContain('AUTH')
    await client.say(`MAIL FROM:<${anna}> AUTH=<>`)
    expect(await client.say('AUTH LOGIN')).toBe('503 5.5.1 Already authenticated')
    expect(await client.say(`RCPT TO:<${far}>`)).toMatch(/^250/)
  })

  test('speaks PLAIN and LOGIN, with and without a first response', async () => {
    here = await submitting()
    const token = plain('ehr', here.secret)
    const ways: (readonly [string, RegExp])[][] = [
      [[`AUTH PLAIN ${token}`, /^235/]],
      [[`auth plain ${token}`, /^235/]],
      [[`AUTH PLAIN ${plain('ehr', here.secret, 'ehr')}`, /^235/]],
      [
        ['AUTH PLAIN', /^334 ?$/],
        [token, /^235/],
      ],
      [
        ['AUTH LOGIN', /^334 VXNlcm5hbWU6$/],
        [login('ehr'), /^334 UGFzc3dvcmQ6$/],
        [login(here.secret), /^235/],
      ],
      [
        [`AUTH LOGIN ${login('ehr')}`, /^334 UGFzc3dvcmQ6$/],
        [login(here.secret), /^235/],
      ],
    ]
    for (const way of ways) {
      const client = await here.greeted()
      for (const [line, reply] of way) expect(await client.say(line)).toMatch(reply)
      client.socket.destroy()
    }
  })

  const clumsy: [string, readonly string[], RegExp][] = [
    ['no mechanism', ['AUTH'], /: 501 5\.5\.4/],
    ['an unknown mechanism', ['AUTH CRAM-MD5'], /: 504 5\.5\.4/],
    ['too many words', ['AUTH PLAIN AAAA AAAA'], /: 501 5\.5\.4/],
    ['what is no base64', ['AUTH PLAIN %%%%'], /: 501 5\.5\.2/],
    ['base64 without padding', ['AUTH PLAIN AGVocgBzZWNyZQ'], /: 501 5\.5\.2/],
    ['too few parts', ['AUTH PLAIN ZWhy'], /: 501 5\.5\.2/],
    ['an empty first response', ['AUTH PLAIN ='], /: 501 5\.5\.2/],
    ['cancelled PLAIN', ['AUTH PLAIN', '*'], /: 501 5\.7\.0/],
    ['cancelled LOGIN', ['AUTH LOGIN', 'ZWhy', '*'], /: 501 5\.7\.0/],
    ['bad base64 in an exchange', ['AUTH LOGIN', 'a b'], /: 501 5\.5\.2/],
    ['bytes over 127 in an exchange', ['AUTH LOGIN', '\xff\xfe\xfd\xfc'], /: 501 5\.5\.2/],
    ['a line that is too long', [`AUTH PLAIN ${'A'.repeat(12_400)}`], /: 500 5\.5\.6/],
    ['a line of an exchange that is too long', ['AUTH LOGIN', 'A'.repeat(12_400)], /: 500 5\.5\.6/],
  ]

  test('answers clumsy clients clearly, and goes on', async () => {
    here = await submitting()
    const one = async ([name, lines, words]: (typeof clumsy)[number]) => {
      const client = await here.greeted()
      let reply = ''
      for (const line of lines) reply = await client.say(line)
      expect(`${name}: ${reply}`).toMatch(words)
      expect(await client.say('NOOP')).toMatch(/^250/)
      expect(await client.say(`AUTH PLAIN ${plain('ehr', here.secret)}`)).toMatch(/^235/)
    }
    await Promise.all(clumsy.map(one))
  })

  test('says and takes the same for an unknown name, a wrong secret, a disabled account and acting for another', async () => {
    here = await submitting({ limits: { refusalMs: 150 } })
    const { accounts } = here.directory
    const off = made(await accounts.create({ name: 'off', senders: ['clinic.example'] }, 'operator'))
    made(await accounts.setDisabled('off', true, 'operator'))
    const wrong = `dge_${'A'.repeat(43)}`
    const tokens = [
      plain('nobody', wrong),
      plain('ehr', wrong),
      plain('ehr', 'x'),
      plain('off', off.secret),
      plain('ehr', here.secret, 'off'),
      plain('', here.secret),
    ]
    for (const token of tokens) {
      const client = await here.greeted()
      const began = performance.now()
      expect(await client.say(`AUTH PLAIN ${token}`)).toBe('535 5.7.8 Authentication credentials invalid')
      expect(performance.now() - began).toBeGreaterThan(140)
      expect(await client.say(`MAIL FROM:<${anna}>`)).toMatch(/^530/)
      client.socket.destroy()
    }
  })

  test('wrong too often is not looked at any more, under this name from here; the next window begins anew', async () => {
    let asked = 0
    const inner = await submitting()
    here = await submitting({
      limits: { failuresPerAccount: 4, failuresPerNetwork: 7, failureWindowMs: 60_000, refusalMs: 0, errors: 100 },
      accounts: {
        async authenticate(name, secret) {
          asked++
          return inner.directory.accounts.authenticate(name, secret)
        },
        maySendAs: inner.directory.accounts.maySendAs,
      },
      clock: inner.clock,
    })
    await inner.listener.close(0)
    const right = plain('ehr', inner.secret)
    const fail = async (client: Peer, name: string) => client.say(`AUTH PLAIN ${plain(name, 'wrong')}`)
    let client = await here.greeted()
    for (let i = 0; i < 4; i++) expect(await fail(client, 'ehr')).toMatch(/^535/)
    expect(await client.say(`AUTH PLAIN ${right}`)).toMatch(/^421 4\.7\.0/)
    await client.closed()
    expect(asked).toBe(4)
    client = await here.greeted()
    for (let i = 0; i < 3; i++) expect(await fail(client, `name${i}`)).toMatch(/^535/)
    expect(await fail(client, 'one-more')).toMatch(/^421 4\.7\.0/)
    expect(asked).toBe(7)
    inner.clock.advance(60_000)
    client = await here.greeted()
    expect(await client.say(`AUTH PLAIN ${right}`)).toMatch(/^235/)
  })

  test('that the store cannot decide is temporary, and no failure of the client', async () => {
    here = await submitting({
      limits: { failuresPerAccount: 1, errors: 100 },
      accounts: { authenticate: () => Promise.reject(new StoreFailed('disk')), maySendAs: async () => false },
    })
    const client = await here.greeted()
    for (let i = 0; i < 3; i++)
      expect(await client.say(`AUTH PLAIN ${plain('ehr', 'x')}`)).toBe('454 4.7.0 Temporary authentication failure')
  })
})

describe('bad clients', () => {
  const wrong: [string, string, RegExp][] = [
    ['RCPT before MAIL', `RCPT TO:<${far}>`, /: 503/],
    ['DATA before MAIL', 'DATA', /: 503/],
    ['an unknown command', 'FOO bar', /: 500/],
    ['a long local part', `MAIL FROM:<${'a'.repeat(75)}@clinic.example>`, /: 553/],
    ['a long domain', `MAIL FROM:<a@${'a'.repeat(60)}.${'b.'.repeat(120)}example>`, /: 553/],
    ['a long line', `NOOP ${'x'.repeat(1000)}`, /: 500 5\.5\.2 Line too long/],
    ['a very long line', `MAIL FROM:<${'x'.repeat(9_000)}>`, /: 500 5\.5\.2 Line too long/],
    ['an unknown parameter', `MAIL FROM:<${anna}> RET=FULL`, /: 555/],
    ['too large a size', `MAIL FROM:<${anna}> SIZE=99999999`, /: 552 5\.3\.4/],
  ]

  test('are answered, and the session goes on', async () => {
    here = await submitting()
    const one = async ([name, line, words]: (typeof wrong)[number]) => {
      const client = await here.known()
      expect(`${name}: ${await client.say(line)}`).toMatch(words)
      expect(await send(client)).toMatch(/^250/)
    }
    await Promise.all(wrong.map(one))
  })

  test('lines that end otherwise than in CRLF are refused, and nothing behind them is read', async () => {
    here = await submitting()
    const client = await here.known()
    for (const line of [`MAIL FROM:<${anna}>`, `RCPT TO:<${far}>`, 'DATA']) await client.say(line)
    client.write(`${message()}a\nb\r\n.\r\nMAIL FROM:<${anna}>\r\n`)
    expect(await client.closed()).toMatch(/^550 5\.6\.0 Bare CR, bare LF or NUL is not accepted\r\n421 [^\n]*\n$/)
    expect(here.handedIn).toEqual([])
  })

  test('a message that ends in form feeds and carriage returns never ends', async () => {
    here = await submitting({ limits: { dataBaseMs: 200, idleMs: 1_000 } })
    const client = await here.known()
    for (const line of [`MAIL FROM:<${anna}>`, `RCPT TO:<${far}>`, 'DATA']) await client.say(line)
    client.write('\f\rSubject: x\f\r\f\rbody\f\r.\f\r')
    expect(await client.closed()).toMatch(/^(550|421) [^\n]*\n/)
    expect(here.handedIn).toEqual([])
  })

  test('silence ends the session: after the greeting, in an exchange, after RCPT, in DATA', async () => {
    here = await submitting({ limits: { idleMs: 150, dataBaseMs: 10_000 } })
    const steps = [`AUTH PLAIN ${plain('ehr', here.secret)}`, `MAIL FROM:<${anna}>`, `RCPT TO:<${far}>`, 'DATA']
    for (const count of [0, 1, 3, 4]) {
      const client = await here.greeted()
      for (const step of steps.slice(0, count)) await client.say(step)
      expect(await client.closed()).toMatch(/^421 4\.4\.2/)
    }
    const client = await here.greeted()
    await client.say('AUTH LOGIN')
    expect(await client.closed()).toMatch(/^421 4\.4\.2/)
    await until(() => here.listener.connections() === 0)
  })

  test('a byte now and then does not hold a session, nor a handshake', async () => {
    here = await submitting({ limits: { commandPhaseMs: 300, idleMs: 60_000 } })
    const client = await here.greeted()
    const raw = rudePeer(here.implicitTlsPort)
    const drip = setInterval(() => {
      client.write('N')
      raw.write('\x16')
    }, 30)
    expect(await client.closed()).toMatch(/^421 4\.4\.2/)
    await sleep(300)
    clearInterval(drip)
    raw.socket.end()
    await until(() => here.listener.connections() === 0)
  })
})

describe('memory', () => {
  const big = (sizeBytes: number, id: string) => {
    const head = message({ id })
    return `${head}${`${'x'.repeat(998)}\r\n`.repeat(Math.ceil((sizeBytes - head.length) / 1000))}`
  }

  test('is held within one budget over all sessions, and given back', async () => {
    let release: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    const inner = await submitting()
    let first = true
    here = await submitting({
      limits: { heldBytes: 300_000, firstBytes: 1_000 },
      accounts: inner.directory.accounts,
      async submit() {
        if (first) {
          first = false
          await gate
        }
        return { kind: 'submitted', id: 'a'.repeat(26), messageId: '<x@y>', duplicate: false }
      },
    })
    await inner.listener.close(0)
    const enter = async () => {
      const client = await here.greeted()
      await client.say(`AUTH PLAIN ${plain('ehr', inner.secret)}`)
      return client
    }
    const [one, two] = [await enter(), await enter()]
    const waiting = send(one, big(200_000, '<1@e>'))
    await until(() => !first)
    expect(await send(two, big(150_000, '<2@e>'))).toBe('452 4.3.1 Insufficient system storage')
    expect(await two.say(`MAIL FROM:<${anna}> SIZE=150000`)).toBe('452 4.3.1 Insufficient system storage')
    expect(await two.say(`MAIL FROM:<${anna}> SIZE=50000`)).toMatch(/^250/)
    await two.say('RSET')
    expect(await send(two, big(20_000, '<3@e>'))).toMatch(/^250/)
    release()
    expect(await waiting).toMatch(/^250/)
    expect(await send(two, big(290_000, '<4@e>'))).toMatch(/^250/)
    expect(await send(two, big(400_000, '<5@e>'))).toMatch(/^452 4\.3\.1/)
    expect(await send(two, big(290_000, '<6@e>'))).toMatch(/^250/)
  })

  test('is given back by those who vanish', async () => {
    here = await submitting({ limits: { heldBytes: 300_000 } })
    for (let i = 0; i < 5; i++) {
      const client = await here.known()
      for (const line of [`MAIL FROM:<${anna}> SIZE=250000`, `RCPT TO:<${far}>`, 'DATA']) await client.say(line)
      client.write(message())
      await sleep(20)
      client.socket.destroy()
      await until(() => here.listener.connections() === 0)
    }
    const client = await here.known()
    expect(await client.say(`MAIL FROM:<${anna}> SIZE=290000`)).toMatch(/^250/)
  })

  test('is not given to a message over the limit', async () => {
    here = await submitting({ limits: { messageBytes: 5_000 } })
    const client = await here.known()
    expect(await client.say('EHLO e')).toContain('SIZE 5000')
    expect(await send(client, big(7_000, '<1@e>'))).toBe('552 5.3.4 Message size exceeds fixed limit')
    expect(here.handedIn).toEqual([])
  })
})

describe('the listeners', () => {
  test('are not there without a port or a certificate', async () => {
    await expect(submitting({ tls: () => undefined })).rejects.toThrow(/certificate/)
    await expect(submitting({ port: undefined, implicitTlsPort: undefined })).rejects.toThrow(/port/)
    here = await submitting({ implicitTlsPort: undefined })
    expect(here.listener.implicitTlsPort).toBeUndefined()
  })

  test('let nobody in while the certificate is gone', async () => {
    const first = newCertificate()
    let current: typeof first | undefined = first
    here = await submitting({ tls: () => current })
    current = undefined
    const turnedAway = await peer(here.port).then(
      (client) => client.closed(),
      () => 'closed',
    )
    expect(turnedAway).toMatch(/^(closed|)$/)
    await expect(securePeer(here.implicitTlsPort)).rejects.toThrow()
    current = first
    expect(await send(await here.known())).toMatch(/^250/)
  })

  test('count their sessions together', async () => {
    here = await submitting({ limits: { connections: 2 } })
    await peer(here.port)
    await here.secured()
    expect(here.listener.connections()).toBe(2)
    await expect(securePeer(here.implicitTlsPort)).rejects.toThrow()
  })

  test('let a message in transfer finish when they close', async () => {
    here = await submitting()
    const client = await here.known()
    const idle = await here.known()
    for (const line of [`MAIL FROM:<${anna}>`, `RCPT TO:<${far}>`, 'DATA']) await client.say(line)
    client.write('From: anna@clinic.example\r\n')
    await sleep(20)
    const closing = here.listener.close(5_000)
    expect(await idle.closed()).toMatch(/^421 4\.3\.2/)
    client.write(`To: ${far}\r\n\r\nhello\r\n.\r\n`)
    expect(await client.reply()).toMatch(/^250/)
    await closing
    expect(await here.sentBy(anna)).toHaveLength(1)
  })
})
