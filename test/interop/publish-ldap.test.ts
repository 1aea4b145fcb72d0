import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type LdapPublishing, type LdapReport, startLdapPublishing } from '../../src/publish/ldap.js'
import { type Identity, makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { found, ldapSearch, type Running, startSlapd } from '../publish/programs.js'
import { tablePublications } from '../publish/worlds.js'

const suffix = 'dc=clinic,dc=example'
const baseDn = `ou=direct,${suffix}`
const asPublisher = ['-D', `cn=publisher,${suffix}`, '-w', 'not-a-secret']
const publisher = { publisherDn: `cn=publisher,${suffix}`, publisherPassword: 'not-a-secret' }

/** Searches by which somebody might learn of addresses without naming one. */
const attempts = [
  '(objectClass=*)',
  '(objectClass=inetOrgPerson)',
  '(mail=*)',
  '(mail=p*)',
  '(mail=*clinic*)',
  '(mail>=a)',
  '(mail~=p1@clinic.example)',
  '(!(mail=nobody@clinic.example))',
  '(|(mail=p1@clinic.example)(objectClass=*))',
  '(cn=*)',
  '(cn=p1*)',
  '(userCertificate=*)',
  '(userCertificate;binary=*)',
  '(sn=*)',
  '(description=direct-gateway)',
  '(entryDN:dnSubtreeMatch:=dc=clinic,dc=example)',
  '(createTimestamp>=20000101000000Z)',
  '(entryUUID>=00000000-0000-0000-0000-000000000000)',
  '(hasSubordinates=FALSE)',
  '(mail:caseIgnoreMatch:=p1@clinic.example)',
]

let slapd: Running & { again(): Promise<Running> }
let pat: Identity
let house: Identity
let table: Map<string, readonly Uint8Array[]>
const open: LdapPublishing[] = []

const name = `publishing to OpenLDAP${found.slapd ? '' : ' (SKIPPED: no slapd is installed)'}`
describe.skipIf(!found.slapd)(name, () => {
  beforeAll(async () => {
    const authority = makeAuthority()
    pat = makeLeaf(authority, { san: { email: ['pat@clinic.example'] } })
    house = makeLeaf(authority, { san: { dns: ['clinic.example'] } })
    slapd = await startSlapd({ suffix, baseDn, ...publisher })
    await furnish()
  })
  afterEach(async () => {
    for (const publishing of open.splice(0)) await publishing.close()
  })
  afterAll(async () => {
    await slapd.stop()
    rmSync(slapd.folder, { recursive: true, force: true })
  })

  async function write(program: 'ldapadd' | 'ldapdelete', ldif: string): Promise<void> {
    const args = ['-x', '-H', `ldap://127.0.0.1:${slapd.port}/`, ...asPublisher]
    const { status, stderr } = spawnSync(program, args, { input: ldif, encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }

  const furnish = () =>
    write(
      'ldapadd',
      `dn: ${suffix}\nobjectClass: top\nobjectClass: dcObject\nobjectClass: organization\no: Clinic\ndc: clinic\n`,
    )

  /** A publishing that works only when told to. */
  function publishing(
    owners: Record<string, readonly Identity[]>,
    more: Partial<Parameters<typeof startLdapPublishing>[0]> = {},
  ) {
    table = new Map(Object.entries(owners).map(([owner, list]) => [owner, list.map(({ certificate }) => certificate)]))
    const { publications } = tablePublications([], table)
    const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }
    const made = startLdapPublishing({
      url: `ldap://127.0.0.1:${slapd.port}`,
      bindDn: publisher.publisherDn,
      password: publisher.publisherPassword,
      baseDn,
      publications,
      everyMs: 3_600_000,
      log: quiet,
      metrics: { count: () => undefined, observe: () => undefined, gauge: () => undefined },
      ...more,
    })
    open.push(made)
    return made
  }

  const lookUp = (mail: string) =>
    ldapSearch(slapd.port, suffix, `(&(mail=${mail})(|(userCertificate;binary=*)(userCertificate=*)))`)
  const certificateIn = (out: string) => Buffer.from(/^userCertificate;binary:: (.*)$/m.exec(out)?.[1] ?? '', 'base64')

  test('a stranger finds the certificates of an address and of a domain as DCDT looks for them', async () => {
    const report = await publishing({ 'pat@clinic.example': [pat], 'clinic.example': [house] }).sync()
    expect(report).toMatchObject({
      kind: 'synced',
      entries: 2,
      added: 2,
      changed: 0,
      removed: 0,
      taken: [],
      more: false,
    })
    const root = await ldapSearch(slapd.port, '', '(objectClass=*)', ['-s', 'base'], ['namingContexts'])
    expect(/namingContexts: (.*)/.exec(root.out)?.[1]).toBe(suffix)
    const address = await lookUp('PAT@clinic.example')
    expect(certificateIn(address.out).equals(pat.certificate)).toBe(true)
    expect(address.out).not.toContain('description')
    expect(certificateIn((await lookUp('clinic.example')).out).equals(house.certificate)).toBe(true)
    expect((await lookUp('nobody@clinic.example')).dns).toEqual([])
  })

  test('only differences are written, and what is withdrawn goes', async () => {
    const first = publishing({ 'pat@clinic.example': [pat], 'clinic.example': [house] })
    await first.sync()
    expect(await first.sync()).toMatchObject({ added: 0, changed: 0, removed: 0, entries: 2 })
    table.set('pat@clinic.example', [pat.certificate, house.certificate])
    expect(await first.sync()).toMatchObject({ added: 0, changed: 1, removed: 0 })
    expect((await lookUp('pat@clinic.example')).out.match(/^userCertificate;binary::/gm)).toHaveLength(2)
    table.set('pat@clinic.example', [house.certificate, pat.certificate])
    expect(await first.sync()).toMatchObject({ changed: 0 })
    table.delete('pat@clinic.example')
    expect(await first.sync()).toMatchObject({ added: 0, changed: 0, removed: 1, entries: 1 })
    expect((await lookUp('pat@clinic.example')).dns).toEqual([])
  })

  test("somebody else's entries are left alone, even one of a name of ours", async () => {
    const theirs = (cn: string) => `dn: cn=${cn},${baseDn}\nobjectClass: inetOrgPerson\ncn: ${cn}\nsn: x\nmail: ${cn}\n`
    await publishing({}).sync()
    await write('ldapadd', `${theirs('someone')}\n${theirs('bo@clinic.example')}`)
    const report = await publishing({ 'bo@clinic.example': [pat], 'cy@clinic.example': [pat] }).sync()
    expect(report).toMatchObject({ kind: 'synced', added: 1, taken: ['bo@clinic.example'] })
    await publishing({}).sync()
    const { dns } = await ldapSearch(slapd.port, baseDn, '(objectClass=inetOrgPerson)', asPublisher)
    expect(dns.sort()).toEqual([`cn=bo@clinic.example,${baseDn}`, `cn=someone,${baseDn}`])
    await write('ldapdelete', `${dns.join('\n')}\n`)
  })

  test.each(["o'hara+x@clinic.example", '#1=/?&{`|}~%$!^*_-@clinic.example'])(
    'the address %s has its entry',
    async (odd) => {
      const made = publishing({ [odd]: [pat] })
      expect(await made.sync()).toMatchObject({ kind: 'synced', taken: [] })
      expect(await made.sync()).toMatchObject({ added: 0, changed: 0, removed: 0, entries: 1 })
      const filter = odd.replace(/[*()\\]/g, (char) => `\\${char.charCodeAt(0).toString(16)}`)
      expect(certificateIn((await lookUp(filter)).out).equals(pat.certificate)).toBe(true)
      await publishing({}).sync()
    },
  )

  test('nobody may list: all but an exact mail= is refused or finds nothing', async () => {
    const owners = Array.from({ length: 30 }, (_, i) => [`p${i}@clinic.example`, [pat]] as const)
    await publishing(Object.fromEntries(owners)).sync()
    for (const base of [suffix, baseDn])
      for (const scope of ['sub', 'one', 'children'])
        for (const attempt of attempts)
          for (const more of [[], ['-E', 'pr=1/noprompt'], ['-z', '1']]) {
            const { dns } = await ldapSearch(slapd.port, base, attempt, ['-s', scope, ...more], ['1.1'])
            expect({ base, scope, attempt, dns }).toEqual({ base, scope, attempt, dns: [] })
          }
    // Several exact guesses in one question: no more than one may come of it.
    const guesses = await ldapSearch(slapd.port, suffix, '(|(mail=p1@clinic.example)(mail=p2@clinic.example))')
    expect(guesses.dns.length).toBeLessThanOrEqual(1)
    expect((await lookUp('p7@clinic.example')).dns).toHaveLength(1)
    await publishing({}).sync()
  })

  test('the attempts to list find out a server that does not bound what a search may look at', async () => {
    const careless = await startSlapd({ suffix, baseDn, ...publisher }, (text) => text.replace(/^limits .*$/gm, ''))
    const sound = slapd
    try {
      slapd = careless
      await furnish()
      await publishing({ 'pat@clinic.example': [pat], 'clinic.example': [house] }).sync()
      const finding = []
      for (const attempt of attempts)
        if ((await ldapSearch(slapd.port, suffix, attempt, [], ['1.1'])).dns.length > 0) finding.push(attempt)
      expect(finding).toEqual(expect.arrayContaining(['(mail=*)', '(mail=p*)', '(objectClass=*)']))
    } finally {
      slapd = sound
      for (const publishing of open.splice(0)) await publishing.close()
      await careless.stop()
      rmSync(careless.folder, { recursive: true, force: true })
    }
  })

  test('a large directory comes in rounds of bounded size, page by page', async () => {
    const owners = Array.from({ length: 120 }, (_, i) => [`many${i}@clinic.example`, [pat]] as const)
    const made = publishing(Object.fromEntries(owners), {
      limits: { changesPerRound: 50, pageEntries: 7, soonMs: 3_600_000 },
    })
    const reports: LdapReport[] = []
    for (let i = 0; i < 4; i++) reports.push(await made.sync())
    const added = reports.map((report) => (report.kind === 'synced' ? [report.added, report.more] : report))
    expect(added).toEqual([
      [50, true],
      [50, true],
      [20, false],
      [0, false],
    ])
    table.clear()
    expect(await made.sync()).toMatchObject({ removed: 50, more: true, entries: 70 })
    await made.sync()
    expect(await made.sync()).toMatchObject({ removed: 20, more: false, entries: 0 })
  })

  test('a server that is down is told of, tried again, and caught up with', async () => {
    const reports: LdapReport[] = []
    await slapd.stop()
    const made = publishing(
      { 'pat@clinic.example': [pat] },
      { limits: { retryMs: 50 }, everyMs: 200, onReport: (report) => reports.push(report) },
    )
    expect(await made.sync()).toMatchObject({ kind: 'failed' })
    slapd = { ...slapd, ...(await slapd.again()) }
    while (reports.at(-1)?.kind !== 'synced') await new Promise((resolve) => setTimeout(resolve, 20))
    expect(certificateIn((await lookUp('pat@clinic.example')).out).equals(pat.certificate)).toBe(true)
    expect(reports[0]).toMatchObject({ kind: 'failed' })
  })

  test('a wrong password is told without it, and a failing store withdraws nothing', async () => {
    await publishing({ 'pat@clinic.example': [pat] }).sync()
    const wrong = await publishing({}, { password: 'quite-wrong' }).sync()
    expect(wrong).toEqual({ kind: 'failed', detail: 'name or password is wrong' })
    const all = async () => {
      throw new Error('no store')
    }
    const { publications } = tablePublications([], new Map())
    expect(await publishing({}, { publications: { ...publications, all } }).sync()).toMatchObject({ kind: 'failed' })
    expect((await lookUp('pat@clinic.example')).dns).toHaveLength(1)
  })
})

test('a password is not sent in the clear to another machine', () => {
  const start =
    (url: string, startTls = false) =>
    () =>
      startLdapPublishing({ url, startTls } as Parameters<typeof startLdapPublishing>[0])
  expect(start('ldap://ldap.clinic.example')).toThrow('in the clear')
  expect(start('http://ldap.clinic.example')).toThrow('no LDAP URL')
})
