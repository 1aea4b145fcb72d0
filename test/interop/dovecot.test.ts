import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DovecotPublishing, type ReadingAccount, startDovecotPublishing } from '../../src/publish/dovecot.js'
import { type Dovecot, startDovecot } from '../certification/world/dovecot.js'
import { openImap } from '../certification/world/imap.js'
import { openPop } from '../certification/world/pop.js'
import { fedByLmtp } from '../certification/world/smtp-client.js'
import { stockFetched } from '../certification/world/stock.js'
import { until } from '../fixtures/process.js'
import { ready } from '../setup/programs.mjs'

const lacks = !ready('dovecot')
const python = ready('python3') !== undefined

describe.skipIf(lacks)(`the Dovecot beside the gateway${lacks ? ' (SKIPPED: no dovecot)' : ''}`, () => {
  const secret = `dge_${randomBytes(32).toString('base64url')}`
  const digest = createHash('sha256').update(secret).digest('hex')
  /** An address with all that Dovecot's files could stumble over. */
  const address = "dr.o'neil+a%b=c@clinic.test"
  const account = { name: 'ehr-north', sha256: digest, reads: address }
  let dovecot: Dovecot
  let publishing: DovecotPublishing
  let accounts: readonly ReadingAccount[] = []
  const accountsAre = async (...some: readonly ReadingAccount[]) => {
    accounts = some
    const report = await publishing.sync()
    // Dovecot looks at the file at most once a second.
    if (report.kind === 'synced' && report.written) await sleep(1_100)
    return report
  }
  beforeAll(async () => {
    dovecot = await startDovecot()
    publishing = startDovecotPublishing({
      usersFile: dovecot.usersFile,
      accounts: async () => accounts,
      limits: { everyMs: 600_000 },
      log: { info() {}, warn() {}, error() {} },
      metrics: { count() {}, gauge() {}, observe() {} },
    })
  })
  afterAll(async () => {
    await publishing?.close()
    await dovecot?.stop()
  })

  // Who fails waits longer each time, by the address he comes from.
  let clients = 10
  const login = async (name: string, word: string) => {
    const imap = await openImap(dovecot.imapsPort, { tls: dovecot.ca, from: `127.0.0.${++clients}` })
    const { status, text } = await imap.say(`LOGIN ${name} ${word}`)
    imap.close()
    return `${status} ${text}`
  }
  const letter = (body: string) =>
    ['From: <a@hospital.test>', `Subject: ${body}`, 'Message-ID: <1@hospital.test>', '', `.${body}`, '..', ''].join(
      '\r\n',
    )
  const filesBelow = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))

  it('lets in an account that the gateway wrote, and no longer one that it took away', async () => {
    const refused = 'NO [AUTHENTICATIONFAILED]'
    expect(await login('ehr-north', secret)).toContain(refused)
    expect(await accountsAre(account)).toEqual({ kind: 'synced', accounts: 1, written: true, left: [] })
    expect(await login('ehr-north', secret)).toMatch(/^OK /)
    expect(await login('EHR-North', secret)).toMatch(/^OK /)
    expect(await login('ehr-north', digest)).toContain(refused)
    expect(await login(address, secret)).toContain(refused)
    await accountsAre()
    expect(await login('ehr-north', secret)).toContain(refused)
  })

  it('gives an account the mail of its address and of no other, byte for byte', async () => {
    const otherSecret = 'dge_other'
    const other = createHash('sha256').update(otherSecret).digest('hex')
    await accountsAre(account, { name: 'ehr-south', sha256: other, reads: "dr.o'neil@clinic.test" })
    expect(await fedByLmtp(dovecot.lmtpPort, 'a@hospital.test', address, letter('one'))).toMatch(/^250 2\.0\.0 /)
    const [first, ...more] = await dovecot.readMail('ehr-north', secret)
    expect(more).toEqual([])
    expect(first?.toString('latin1').endsWith(letter('one'))).toBe(true)
    expect(await dovecot.readMail('ehr-south', otherSecret)).toEqual([])
  })

  it('keeps no word of a message in the clear, in mail, index or log, and tells who read it', async () => {
    const canary = `canary${randomBytes(8).toString('hex')}`
    await accountsAre(account)
    await fedByLmtp(dovecot.lmtpPort, 'a@hospital.test', address, letter(canary))
    const imap = await openImap(dovecot.imapPort)
    await imap.startTls(dovecot.ca)
    await imap.say(`LOGIN ehr-north ${secret}`)
    await imap.say('SELECT INBOX')
    const found = await imap.say(`UID SEARCH SUBJECT ${canary}`)
    const uid = /^\* SEARCH (\d+)$/.exec(found.untagged.join())?.[1]
    const fetched = await imap.say(`UID FETCH ${uid} (ENVELOPE BODYSTRUCTURE BODY.PEEK[])`)
    expect(fetched.literals.at(-1)?.toString()).toContain(canary)
    await imap.say(`UID STORE ${uid} +FLAGS (\\Deleted)`)
    await imap.say('EXPUNGE')
    await fedByLmtp(dovecot.lmtpPort, 'a@hospital.test', address, letter(canary))
    await imap.say('NOOP')
    await imap.say('FETCH 1:* (ENVELOPE BODY.PEEK[HEADER])')
    await imap.say('LOGOUT')
    imap.close()

    const files = filesBelow(dovecot.mailFolder)
    expect(files.length).toBeGreaterThan(3)
    expect(files.filter((file) => readFileSync(file).includes(canary))).toEqual([])
    // The very mail is there: it opens with the key alone.
    expect(files.some((file) => readFileSync(file).subarray(0, 9).equals(Buffer.from('CRYPTED\x03\x07')))).toBe(true)
    const said = await until(() => (dovecot.said().includes('expunge: ') ? dovecot.said() : undefined))
    expect(said).not.toContain(canary)
    expect(said).not.toContain(secret)
    const logins = [...said.matchAll(/imap-login: Info: Login: account=<ehr-north>.* session=<([^>]+)>/g)]
    const session = logins.at(-1)?.[1]
    expect(session).toBeDefined()
    const read = said
      .split('\n')
      .filter((line) => line.includes('"event":"mail_opened"') && line.includes(`"${session}"`))
    expect(read.some((line) => line.includes(`"user":"${address}"`) && line.includes(`"uid":${uid}`))).toBe(true)
    expect(said).toMatch(/expunge: box=INBOX, uid=\d+, msgid=<1@hospital\.test>/)
  })

  it('would be seen to keep mail in the clear, and subjects beside mail that is encrypted', async () => {
    const canary = `canary${randomBytes(8).toString('hex')}`
    for (const [spoilt, where] of [
      ['mail_plugins = quota', /\/(new|cur)\//],
      ['mail_cache_min_mail_count = 0', /dovecot\.index\.cache$/],
    ] as const) {
      const other = await startDovecot([spoilt])
      try {
        other.writeAccounts([{ name: 'ehr-north', secret, reads: 'dr@clinic.test' }])
        await fedByLmtp(other.lmtpPort, 'a@hospital.test', 'dr@clinic.test', letter(canary))
        const imap = await openImap(other.imapsPort, { tls: other.ca })
        await imap.say(`LOGIN ehr-north ${secret}`)
        await imap.say('SELECT INBOX')
        await imap.say('FETCH 1:* (ENVELOPE)')
        await imap.say('LOGOUT')
        imap.close()
        const telling = filesBelow(other.mailFolder).filter((file) => readFileSync(file).includes(canary))
        expect(telling.some((file) => where.test(file))).toBe(true)
      } finally {
        await other.stop()
      }
    }
  })

  it('hears no password before TLS, over IMAP nor POP3, and speaks nothing older than TLS 1.2', async () => {
    await accountsAre(account)
    const imap = await openImap(dovecot.imapPort)
    expect(imap.greeting).toMatch(/LOGINDISABLED/)
    expect(imap.greeting).not.toMatch(/AUTH=|Dovecot/)
    expect((await imap.say(`LOGIN ehr-north ${secret}`)).text).toContain('PRIVACYREQUIRED')
    imap.close()
    const pop = await openPop(dovecot.popPort)
    expect((await pop.ask('CAPA')).lines.filter((line) => /^(SASL|USER)/.test(line))).toEqual(['SASL'])
    expect(await pop.say('USER ehr-north')).toMatch(/^-ERR/)
    pop.close()
    const shaken = async (version: string) => {
      const to = ['s_client', '-connect', `127.0.0.1:${dovecot.imapsPort}`, version, '-cipher', 'ALL:@SECLEVEL=0']
      const client = promisify(execFile)('openssl', to)
      client.child.stdin?.end()
      return client.then(
        () => true,
        () => false,
      )
    }
    expect([await shaken('-tls1_1'), await shaken('-tls1_2'), await shaken('-tls1_3')]).toEqual([false, true, true])
  })

  it('makes a wrong password wait', async () => {
    const started = Date.now()
    expect(await login('ehr-north', 'wrong')).toContain('NO [AUTHENTICATIONFAILED]')
    // Two seconds by its own clock, which counts whole ones.
    expect(Date.now() - started).toBeGreaterThan(900)
  })

  it('writes nothing where nothing changed, mends what somebody changed, and says where it cannot', async () => {
    await accountsAre(account)
    const file = dovecot.usersFile
    const before = statSync(file)
    expect(before.mode & 0o777).toBe(0o640)
    expect(await publishing.sync()).toMatchObject({ written: false })
    expect(statSync(file).ino).toBe(before.ino)
    renameSync(file, `${file}.away`)
    expect(await publishing.sync()).toMatchObject({ kind: 'synced', accounts: 1, written: true })
    expect(readFileSync(file, 'utf8')).toBe(readFileSync(`${file}.away`, 'utf8'))
    const folder = dirname(file)
    renameSync(folder, `${folder}.away`)
    expect(await publishing.sync()).toMatchObject({ kind: 'failed' })
    renameSync(`${folder}.away`, folder)
    expect(await publishing.sync()).toMatchObject({ kind: 'synced', written: false })
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([])
  })

  describe.skipIf(!python)(`a stock client${python ? '' : ' (SKIPPED: no python3)'}`, () => {
    it('reads the same over IMAP and POP3', async () => {
      await accountsAre({ ...account, reads: 'stock@clinic.test' })
      await fedByLmtp(dovecot.lmtpPort, 'a@hospital.test', 'stock@clinic.test', letter('stock'))
      const { imap, pop } = await stockFetched(dovecot, 'ehr-north', secret)
      expect(imap).toHaveLength(1)
      expect(imap[0]?.toString()).toContain(letter('stock'))
      expect(pop).toEqual(imap)
    })
  })
})
