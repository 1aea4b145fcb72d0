import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Asn1Error } from '../../dist/asn1/reader.js'
import { readDocument } from '../../dist/clinical/read.js'
import { sampleCcda, sampleCcr } from '../../dist/demo/documents.js'
import { judgeBundle } from '../../dist/pipeline/bundle-content.js'
import { readMetadata } from '../../dist/pipeline/bundle-metadata.js'
import { readCertRecord } from '../../dist/resolve/cert.js'
import { readMessage } from '../../dist/resolve/dns-message.js'
import { messageSize, readLdapMessage } from '../../dist/resolve/ldap-message.js'
import { defaultTrustPolicy } from '../../dist/trust/policy.js'
import { leafFlaw, pathFlaw } from '../../dist/trust/validate.js'
import { certificatesIn, readBundle } from '../../dist/x509/bundle.js'
import { publicKeyOf, readCertificate } from '../../dist/x509/certificate.js'
import { entryOf, readCrl } from '../../dist/x509/crl.js'
import { comparableName, emailAddressesOf, isEmptyName, nameText } from '../../dist/x509/name.js'
import { alternativeNames, nameConstraintsOf } from '../../dist/x509/names.js'
import { isAbout, readOcsp } from '../../dist/x509/ocsp.js'
import { distributionPointsOf } from '../../dist/x509/points.js'
import { policiesOf } from '../../dist/x509/policies.js'
import { schemeOf, weaknessOf } from '../../dist/x509/signature.js'
import { parseXml } from '../../dist/xml/parse.js'
import { mutateAsn1 } from './mutate-asn1.mjs'
import { dnsId, dnsTypes, mutateDns, pointerTo, wireName, writeDns } from './mutate-dns.mjs'
import { mutateXml } from './mutate-xml.mjs'
import { mutateZip, writeArchive } from './mutate-zip.mjs'

/**
 * What reads a stranger's bytes, each with seeds, a way to change them, and `read`. That answers whether it met what the
 * seeds themselves do not have: there the planted bugs are, to see that the harness finds its way to such a place.
 *
 * @typedef {{ seeds: readonly unknown[], bytesOf(seed: unknown): Buffer, read(bytes: Buffer): unknown,
 *   mutate(seed: unknown, corpus: readonly unknown[], dice: import('./dice.mjs').Dice): { seed: unknown, bytes: Buffer } }} Target
 */

const corpus = fileURLToPath(new URL('corpus', import.meta.url))

/** @param {readonly string[]} kinds */
function seedsOf(...kinds) {
  return kinds.flatMap((kind) =>
    readdirSync(join(corpus, kind))
      .sort()
      .map((name) => readFileSync(join(corpus, kind, name))),
  )
}

const asn1Target = (read, ...kinds) => ({ seeds: seedsOf(...kinds), bytesOf: (seed) => seed, read, mutate: mutateAsn1 })

/** What says of itself that it throws this for damaged bytes; whatever else is thrown is a finding. */
function quietly(read) {
  try {
    read()
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error
  }
}

const certificateOf = (name) => readCertificate(readFileSync(join(corpus, 'certificate', `${name}.der`)))
const [root, middle, leaf] = ['root', 'middle', 'leaf'].map(certificateOf)
const at = leaf.notBefore + 86_400_000
const policies = [defaultTrustPolicy, { ...defaultTrustPolicy, requireEmailProtection: false }]

function readsCertificate(bytes) {
  const found = readCertificate(bytes)
  if (found.kind === 'malformed') return false
  for (const name of [found.subject, found.issuer]) {
    nameText(name)
    comparableName(name)
    isEmptyName(name)
    quietly(() => emailAddressesOf(name))
  }
  weaknessOf(publicKeyOf(found))
  schemeOf(found.signatureAlgorithm)
  for (const read of [alternativeNames, nameConstraintsOf, policiesOf, distributionPointsOf]) quietly(() => read(found))
  // As leaf and as an authority of a path: these two read whatever is in a certificate, and must not throw.
  for (const policy of policies) {
    leafFlaw(found, 'sign', at, policy)
    leafFlaw(found, 'encrypt', at, policy)
    pathFlaw([found, middle, root], 'sign', at, policy)
    pathFlaw([leaf, found, root], 'sign', at, policy)
    pathFlaw([leaf, middle, found, root], 'encrypt', at, policy)
  }
  return found.serial.length > 20
}

const serials = [leaf.serial, root.serial, Buffer.from([0x10, 0x02]), Buffer.from([0])]
const issuer = comparableName(middle.subject)

function readsCrl(bytes) {
  const found = readCrl(bytes)
  if (found.kind === 'malformed') return false
  for (const serial of serials) quietly(() => entryOf(found, serial, issuer))
  schemeOf(found.signatureAlgorithm)
  return found.unusable?.includes('critical extension') === true
}

function readsOcsp(bytes) {
  const found = readOcsp(bytes)
  if (found.kind !== 'response') return false
  for (const { id } of found.answers) isAbout(id, leaf, middle)
  for (const der of found.certificates) readCertificate(der)
  return found.answers.length > 3
}

const nobody = {
  revocation: { status: async () => ({ kind: 'not-published' }) },
  issuers: { of: async () => [] },
}

async function readsBundle(bytes) {
  certificatesIn(bytes)
  readMetadata(bytes)
  const found = readBundle(bytes)
  await judgeBundle({ bytes, signer: undefined, at }, nobody)
  await judgeBundle({ bytes, signer: leaf.der, at }, nobody)
  return found.kind === 'bundle' && found.unreadable > 0
}

const asked = 'dr.sample.clinic.example'
const question = (type) => ({ name: wireName(asked), type: dnsTypes[type] })
const record = (type, data, name = pointerTo(12)) => ({ name, type: dnsTypes[type], data })
const start = (name) =>
  record('SOA', Buffer.concat([wireName('ns.example'), wireName('who.example'), Buffer.alloc(20, 1)]), name)
const edns = { name: Buffer.alloc(1), type: dnsTypes.OPT, klass: 1232, ttl: 0, data: Buffer.alloc(0) }
const host = wireName('h.example')
const cert = (kind, body) => Buffer.concat([Buffer.from([0, kind, 0, 0, 8]), body])

const dnsSeeds = [
  {
    question: question('CERT'),
    answers: [record('CERT', cert(1, leaf.der)), record('CERT', cert(4, Buffer.from('http://ca.example/c')))],
  },
  {
    question: question('CERT'),
    answers: [record('CNAME', host), record('CERT', cert(1, leaf.der), host)],
    additionals: [edns],
  },
  { question: question('CERT'), answers: [], authorities: [start(wireName('example'))], flags: 0x8403 },
  { question: question('CERT'), answers: [record('CNAME', host)] },
  { question: question('SRV'), answers: [record('SRV', Buffer.concat([Buffer.from([0, 1, 0, 2, 1, 0x85]), host]))] },
  { question: question('A'), answers: [record('A', Buffer.from([127, 0, 0, 1]))], additionals: [edns] },
  { question: question('AAAA'), answers: [record('AAAA', Buffer.alloc(16, 1))] },
  { question: question('NS'), answers: [record('NS', host)], additionals: [record('A', Buffer.alloc(4), host)] },
  { question: question('A'), answers: [], authorities: [record('NS', host, wireName('example'))], flags: 0x8000 },
]

function readsDns(bytes) {
  const answers = ['CERT', 'SRV', 'A', 'AAAA', 'NS'].map((type) => readMessage(bytes, { name: asked, type }, dnsId))
  const [found] = answers
  for (const rdata of found.kind === 'records' ? found.records : []) readCertRecord(rdata)
  return answers.some(({ kind, detail }) => kind === 'failure' && detail === 'too many aliases')
}

const string = (text) => Buffer.concat([Buffer.from([4, text.length]), Buffer.from(text)])
const holding = (tag, ...parts) => {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag, 0x82, body.length >> 8, body.length & 0xff]), body])
}
const messageId = Buffer.from([2, 1, 2])
const attribute = (name, ...values) =>
  holding(0x30, string(name), holding(0x31, ...values.map((value) => holding(4, value))))
const result = Buffer.from([10, 1, 0, 4, 0, 4, 0])

const ldapSeeds = [
  holding(
    0x30,
    messageId,
    holding(
      0x64,
      string('cn=x'),
      holding(0x30, attribute('userCertificate;binary', leaf.der, root.der), attribute('mail', Buffer.from('x'))),
    ),
  ),
  holding(0x30, messageId, holding(0x65, result)),
  holding(0x30, messageId, holding(0x61, result)),
  holding(0x30, messageId, holding(0x73, string('ldap://other.example/'))),
]

function readsLdap(bytes) {
  let notable = false
  quietly(() => messageSize(bytes))
  quietly(() => {
    const found = readLdapMessage(bytes)
    notable = found.kind === 'entry' && found.attributes.length > 2
  })
  return notable
}

/** Sections apart, each in a document of its own: what is small is changed often. @param {Uint8Array} document */
function sectionsOf(document) {
  const text = Buffer.from(document).toString()
  const sections = text.match(/<component>\s*<section>[\s\S]*?<\/section>\s*<\/component>/g) ?? []
  const [first] = sections
  if (first === undefined) return [Buffer.from(text)]
  const before = text.slice(0, text.indexOf(first))
  const after = text.slice(text.lastIndexOf(sections.at(-1)) + sections.at(-1).length)
  return sections.map((section) => Buffer.from(before + section + after))
}

/** Documents and archives, as a message's attachments are read. A reader that gave up is a finding like one that threw. */
async function readsDocument(bytes) {
  const { documents } = await readDocument(bytes)
  const told = documents.flatMap(({ diagnostics }) => diagnostics)
  if (told.some(({ detail }) => detail === 'the reader failed')) throw new Error('the reader failed')
  return told.some(({ code }) => code === 'unresolved-reference' || code === 'id-reused')
}

function readsXml(bytes) {
  const parsed = parseXml(bytes)
  return parsed.kind === 'tree' && parsed.notes.length > 0
}

const cdaSeeds = [...seedsOf('cda'), ...sectionsOf(sampleCcda())]
const ccrSeeds = [...seedsOf('ccr'), Buffer.from(sampleCcr())]
const archives = cdaSeeds.map((bytes) => [
  { name: 'README.TXT', bytes: Buffer.from('a package') },
  { name: 'IHE_XDM/SUBSET01/DOC00001.XML', bytes },
])
const xmlTarget = (read, seeds) => ({ seeds, bytesOf: (seed) => seed, read, mutate: mutateXml })

/** @type {Readonly<Record<string, Target>>} */
export const targets = {
  certificate: asn1Target(readsCertificate, 'certificate'),
  crl: asn1Target(readsCrl, 'crl'),
  ocsp: asn1Target(readsOcsp, 'ocsp'),
  dns: { seeds: dnsSeeds, bytesOf: writeDns, read: readsDns, mutate: mutateDns },
  bundle: asn1Target(readsBundle, 'bundle', 'certificate'),
  xml: xmlTarget(readsXml, [...cdaSeeds, ...ccrSeeds]),
  cda: xmlTarget(readsDocument, cdaSeeds),
  ccr: xmlTarget(readsDocument, ccrSeeds),
  xdm: { seeds: archives, bytesOf: writeArchive, read: readsDocument, mutate: mutateZip },
  ldap: { seeds: ldapSeeds, bytesOf: (seed) => seed, read: readsLdap, mutate: mutateAsn1 },
}

/** Bugs to find: each is what such a bug looks like from outside. */
export const planted = {
  throws() {
    throw new TypeError('planted')
  },
  slow() {
    const used = () => process.cpuUsage().user + process.cpuUsage().system
    for (const until = used() + 1_400_000; used() < until; );
  },
  stuck() {
    for (;;);
  },
  hungry: () => Buffer.alloc(400 * 1024 * 1024, 1),
  /** What is never given back, a little each time. */
  leaks: (() => {
    const kept = []
    return () => kept.push(Buffer.alloc(48 * 1024 * 1024, 1))
  })(),
}

/** @param {Target} target @param {keyof typeof planted} bug @returns {Target} */
export function withBug(target, bug) {
  return {
    ...target,
    async read(bytes) {
      if (await target.read(bytes)) planted[bug]()
    },
  }
}
