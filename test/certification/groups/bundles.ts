import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { complete, type Finding, type Measure, wants } from '../finding.js'
import { octets, read, sequence, withPart, write } from '../world/der.js'
import { startNameServer } from '../world/dns.js'
import { type Gateway, startGateway } from '../world/gateway.js'
import { type Place, startWeb, type WebServer } from '../world/http.js'
import { type OpenSsl, openSsl, readFile } from '../world/openssl.js'
import { type Authority, openPki, type Party, type Pki } from '../world/pki.js'
import { type Sink, startSink } from '../world/sink.js'
import { mailDomain } from '../world/zone.js'
import { exchanged, faultsOf, wordsOf } from './exchange.js'
import { compose, type Expectation, type Letter, ourAddress, ourDomain, theirDomain } from './letters.js'

/** Trust bundles as OpenSSL makes them, from a web server: what is in force shows in whose mail is taken. */
interface World {
  readonly measure: Measure
  readonly openssl: OpenSsl
  readonly pki: Pki
  readonly web: WebServer
  readonly sink: Sink
  readonly gateway: Gateway
  readonly ours: Authority
  readonly key: Party
}

/** One bundle and the mail that tells whether it is in force. */
interface Trial {
  readonly caseId: string
  readonly name: string
  /** Its first content; where it is signed, by whom. */
  readonly place: Place
  readonly signer?: Party
  /** Whether `bundle add` must take it. */
  readonly good: boolean
  /** Whether the mail of the sender is delivered from then on: by default where the bundle was taken. */
  readonly heard?: boolean
  /** Whose mail it lets in. */
  readonly sender: Party
  /** What stands there afterwards, and whether the mail still comes in. */
  readonly later?: { readonly place: Place; readonly good: boolean; readonly alarm: boolean }
  /** What else must hold after the first load. */
  readonly also?: (gateway: Gateway) => Promise<readonly string[]>
}

/** The shortest interval there is, so that a run may wait for it. */
const refreshSeconds = 60

/** Runs the group: mail before the bundles, with them, and after some of them changed. */
export async function bundles(measure: Measure): Promise<readonly Finding[]> {
  const closers: (() => Promise<unknown>)[] = []
  try {
    const world = await newWorld(measure, closers)
    const all = (await trialsOf(world)).filter(({ caseId }) => wants(measure, caseId))
    const wrong = new Map<string, string[]>(all.map(({ caseId }) => [caseId, []]))
    const seen = new Map<string, string[]>(all.map(({ caseId }) => [caseId, []]))
    const note = (id: string, faults: readonly string[], words: string) => {
      wrong.get(id)?.push(...faults)
      seen.get(id)?.push([words, ...faults.map((fault) => `!! ${fault}`)].join(' '))
    }
    const round = async (about: string, trials: readonly (readonly [Trial, Expectation])[]) => {
      measure.tell(`bundles: mail ${about}`)
      for (const [{ caseId, name }, words, faults] of await mailRound(world, about, trials))
        note(caseId, faults, `${name} ${about}: ${words}`)
    }

    await round(
      'before',
      all.map((trial) => [trial, 'nothing']),
    )
    for (const trial of all) note(trial.caseId, await added(world, trial), `${trial.name} added`)
    await round(
      'with it',
      all.map((trial) => [trial, (trial.heard ?? trial.good) ? 'processed' : 'nothing']),
    )
    const changing = all.flatMap((trial) => (trial.later ? [{ trial, later: trial.later }] : []))
    const asked = world.web.asked.length
    for (const { trial, later } of changing) world.web.places.set(pathOf(trial), later.place)
    const told = await refreshed(
      world,
      changing.map(({ trial }) => trial),
      asked,
    )
    for (const { trial, later } of changing) note(trial.caseId, alarmFaults(world, trial, later.alarm, told), '')
    if (changing.length > 0)
      await round(
        'later',
        changing.map(({ trial, later }) => [trial, later.good ? 'processed' : 'nothing']),
      )
    return complete(
      'bundles',
      measure,
      [...wrong].map(([id, faults]) => ({
        id,
        passed: faults.length === 0,
        seen: (seen.get(id) ?? []).filter((words) => words !== '').join('; '),
      })),
    )
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function newWorld(measure: Measure, closers: (() => Promise<unknown>)[]): Promise<World> {
  const openssl = openSsl(join(measure.home, 'openssl'))
  const pki = openPki(openssl)
  const web = await startWeb()
  closers.push(web.close)
  const sink = await startSink()
  closers.push(sink.close)
  const names = await startNameServer(mailDomain(theirDomain))
  closers.push(names.close)
  const ours = await pki.root('Patients Root')
  const key = await ours.issue('Patients', { subjectAltName: `DNS:${ourDomain}` })
  const gateway = await startGateway(
    join(measure.home, 'gateway'),
    { domains: { [ourDomain]: [ourAddress] }, keys: [{ owner: ourDomain, party: key }], anchors: [] },
    { namePort: names.port, sinkPort: sink.port, ...(measure.program !== undefined && { program: measure.program }) },
  )
  closers.push(gateway.close)
  return { measure, openssl, pki, web, sink, gateway, ours, key }
}

const pathOf = ({ name }: Pick<Trial, 'name'>) => `/${name}.p7b`
const bytesOf = (bytes: Buffer): Place => ({ kind: 'bytes', type: 'application/pkcs7-mime', bytes: () => bytes })

async function trialsOf({ openssl, pki }: World): Promise<readonly Trial[]> {
  const other = await pki.root('Another Member')
  /** An authority with someone to write, and the bundle that has both it and another. */
  const member = async (caseId: string, name: string) => {
    const authority = await pki.root(`${name} Authority`)
    const sender = await authority.issue(name, { subjectAltName: `DNS:${theirDomain}` })
    return { caseId, name, authority, sender, p7b: await p7b(openssl, [other, authority]) }
  }
  const der = await member('BUNDLE-P7B', 'der')
  const pem = await member('BUNDLE-PEM', 'pem')
  const meta = await member('BUNDLE-META', 'metadata')
  const [signed, forged, unsigned] = [
    await member('BUNDLE-P7M', 'signed'),
    await member('BUNDLE-P7M', 'forged'),
    await member('BUNDLE-P7M', 'unsigned'),
  ]
  const changing = await member('BUNDLE-REFRESH', 'changing')
  const failing = await Promise.all(['status', 'garbage', 'empty'].map((name) => member('BUNDLE-BADFETCH', name)))

  const keeper = await pki.root('Keeper Of The Bundle')
  // Bound to the domain of the senders: where a reader took the signer for an anchor, its mail would be taken.
  const signer = await keeper.issue('signer', { subjectAltName: `DNS:${theirDomain}` })
  const forger = await other.issue('forger', { subjectAltName: `DNS:${theirDomain}` })
  const signedBytes = await p7m(openssl, signed.p7b, signer)
  const kept = { ...signed, place: bytesOf(signedBytes), signer: keeper, good: true }
  const without = await p7b(openssl, [other])
  const bad: readonly Place[] = [
    { kind: 'fails', status: 500 },
    bytesOf(Buffer.from('<html><body>Please come back later</body></html>')),
    bytesOf(await p7b(openssl, [])),
  ]
  return [
    { ...der, place: bytesOf(der.p7b), good: true },
    { ...pem, place: bytesOf(await pemOf(openssl, pem.p7b)), good: true },
    { ...meta, place: bytesOf(withMetadata(meta.p7b)), good: true, also: metadataFaults(meta.name) },
    kept,
    { ...kept, name: 'its-signer', sender: signer, heard: false },
    { ...forged, place: bytesOf(await p7m(openssl, forged.p7b, forger)), signer: keeper, good: false },
    { ...unsigned, place: bytesOf(unsigned.p7b), signer: keeper, good: false },
    {
      ...changing,
      place: bytesOf(changing.p7b),
      good: true,
      later: { place: bytesOf(without), good: false, alarm: false },
    },
    ...failing.map((one, n) => ({
      ...one,
      place: bytesOf(one.p7b),
      good: true,
      later: { place: bad[n] ?? { kind: 'hangs' as const }, good: true, alarm: true },
    })),
  ]
}

/** A bundle as its keepers make it: certificates and nothing else, DER. */
async function p7b(openssl: OpenSsl, members: readonly Party[]): Promise<Buffer> {
  const output = openssl.path('p7b')
  const files = members.flatMap(({ certificatePath }) => ['-certfile', certificatePath])
  await openssl('crl2pkcs7', '-nocrl', ...files, '-outform', 'DER', '-out', output)
  return readFile(output)
}

function pemOf(openssl: OpenSsl, bundle: Buffer): Promise<Buffer> {
  return openssl('pkcs7', '-inform', 'DER', '-in', openssl.write('p7b', bundle))
}

async function p7m(openssl: OpenSsl, bundle: Buffer, signer: Party): Promise<Buffer> {
  const output = openssl.path('p7m')
  const by = ['-signer', signer.certificatePath, '-inkey', signer.keyPath]
  const words = ['-binary', '-nodetach', '-md', 'sha256', '-outform', 'DER', '-out', output]
  await openssl('cms', '-sign', ...words, '-in', openssl.write('p7b', bundle), ...by)
  return readFile(output)
}

const profile = 'Certification profile of the harness'

/** The bundle with metadata as its content (Trust Bundle Distribution IG). */
function withMetadata(bundle: Buffer): Buffer {
  const metadata = `<?xml version="1.0" encoding="UTF-8"?><TrustBundle><Name>Harness</Name><Profile>${profile}</Profile></TrustBundle>`
  const data = { tag: 0x06, bytes: Buffer.from('2a864886f70d010701', 'hex') }
  const content = sequence(data, { tag: 0xa0, parts: [octets(metadata)] })
  return write(withPart(read(bundle), [1, 0, 2], content))
}

const metadataFaults = (name: string) => async (gateway: Gateway) => {
  const { said } = await gateway.tried('bundle', 'show', name, '--json')
  return said.includes(profile) ? [] : ['the profile of the metadata is not shown']
}

/** Adds the bundle by the command line; what must be refused must be refused there. */
async function added({ gateway, openssl, web }: World, trial: Trial): Promise<readonly string[]> {
  const { name, place, signer, good, also } = trial
  web.places.set(pathOf(trial), place)
  const by = signer ? ['--signer', openssl.write('signer.der', signer.certificate)] : []
  const words = ['--url', `${web.url}${pathOf(trial)}`, '--refresh', `${refreshSeconds}s`, '--for', ourDomain]
  const { code, said } = await gateway.tried('bundle', 'add', name, ...words, ...by)
  if ((code === 0) !== good) return [`bundle add ended with ${code}: ${said.replace(/\s+/g, ' ').trim().slice(-200)}`]
  return also ? also(gateway) : []
}

/**
 * Waits for the next poll by itself, or asks for it where the run is to be quick. Answers the bundles whose failure the
 * person who asked was told.
 */
async function refreshed(
  { gateway, measure, web }: World,
  trials: readonly Trial[],
  asked: number,
): Promise<ReadonlySet<string>> {
  const told = new Set<string>()
  if (measure.peers === 'own') {
    for (const { name } of trials) if ((await gateway.tried('bundle', 'refresh', name)).code !== 0) told.add(name)
    return told
  }
  measure.tell('bundles: the next poll is awaited')
  const end = Date.now() + (refreshSeconds + 30) * 1000
  const polled = () => trials.every((trial) => web.asked.slice(asked).includes(pathOf(trial)))
  while (!polled() && Date.now() < end) await sleep(500)
  await sleep(1_000)
  return told
}

function alarmFaults(
  { gateway }: World,
  { name }: Trial,
  alarm: boolean,
  told: ReadonlySet<string>,
): readonly string[] {
  const logged = gateway
    .said()
    .split('\n')
    .some((line) => line.includes('"alarm"') && line.includes(`"${name}"`))
  const called = logged || told.has(name)
  if (called === alarm) return []
  return [alarm ? `nobody was called for ${name}` : `somebody was called for ${name} for nothing`]
}

/** A letter for each trial; answers what came of it. */
async function mailRound(
  { measure, openssl, key, gateway, sink, ours }: World,
  about: string,
  trials: readonly (readonly [Trial, Expectation])[],
): Promise<readonly (readonly [Trial, string, readonly string[]])[]> {
  const letters = new Map<Trial, Letter>()
  for (const [trial, expect] of trials) {
    const draft = { about: `${trial.name} ${about}`, expect, signers: [trial.sender] }
    letters.set(trial, await compose(openssl, key, trial.caseId, draft))
  }
  const far = { openssl, authority: ours }
  const outcomes = await exchanged(measure, [...letters.values()], gateway, sink, far)
  return [...letters].map(([trial, letter]) => {
    const outcome = outcomes.get(letter)
    return [trial, outcome ? wordsOf(outcome) : 'not sent', outcome ? faultsOf(letter, outcome) : ['not sent']] as const
  })
}
