/**
 * The house as a table: each room of src/, what it may import of src/, what it holds. The boundary rules
 * (.dependency-cruiser.cjs) and the tables of docs/architecture.md are both made from it.
 */
const leaf = {
  direct: { may: [], holds: 'The vocabulary: address, envelope, signer, verdict, refusal, record items. Pure.' },
  ports: {
    may: ['direct'],
    holds: 'What the core asks of the world, as interfaces; each contract is its doc comment.',
  },
  asn1: { may: [], holds: 'BER and DER: reader, writer, object identifiers.' },
  x509: { may: ['asn1'], holds: 'Certificates, names and revocation lists as structures; decides nothing.' },
  xml: { may: ['direct'], holds: 'One small element tree over an XML parser, within limits; and writing.' },
  mime: { may: ['direct'], holds: 'Reads and builds MIME trees within limits; knows nothing of Direct.' },
}

const features = {
  smime: {
    may: ['direct', 'ports', 'mime', 'asn1', 'x509'],
    holds: 'Opens (decrypts, verifies) and seals (signs, encrypts) CMS; the only room that uses private keys.',
  },
  trust: {
    may: ['direct', 'ports', 'mime', 'asn1', 'x509'],
    holds: 'Paths, revocation, binding, policy, routing tamper: may this signer speak to this recipient?',
  },
  clinical: {
    may: ['direct', 'ports', 'mime', 'xml'],
    holds:
      'Recognises clinical documents and reads them into record items; writes items as C-CDA, CCR, XDM and FHIR; shows documents.',
  },
  notices: { may: ['direct', 'ports', 'mime'], holds: 'Disposition and delivery notices: composing and recognising.' },
  authority: {
    may: ['direct', 'ports', 'asn1', 'x509'],
    holds: 'Certificates that we make ourselves: issuing, revocation lists, requests to authorities outside, renewal.',
  },
  keyring: { may: ['direct', 'ports'], holds: 'The master key and the vault: everything at rest is sealed here.' },
  directory: {
    may: ['direct', 'ports', 'asn1', 'x509'],
    holds: 'What the operator told us: domains, addresses, keys, anchors, peers, accounts, tokens.',
  },
  spool: {
    may: ['direct', 'ports'],
    holds:
      'What was accepted and not finished, what was sent and what became of it, trails, events, and the quarantine.',
  },
  mailbox: { may: ['direct', 'ports'], holds: 'Message Center: mailboxes, messages, flags, change log.' },
  record: { may: ['direct', 'ports'], holds: "A patient's record: items, versions, reconciliation." },
  people: {
    may: ['direct', 'ports'],
    holds: 'People who sign in: accounts, factors, sessions, the records they hold, and sharing them.',
  },
  consent: {
    may: ['direct', 'ports', 'people'],
    holds: 'Applications, what people granted them in which record, and the history of what was done.',
  },
  connect: {
    may: ['direct', 'ports', 'people', 'consent', 'record'],
    holds: 'Pickup codes and what they open: Patient Connect, packages left for somebody, mail held for newcomers.',
  },
}

const core = [...Object.keys(leaf), ...Object.keys(features)]

const pipeline = {
  pipeline: { may: core, holds: "The recipes; each reads as the specification's steps, in their order." },
}

const adapters = {
  observe: { may: ['direct', 'ports'], holds: 'Log with redaction, metrics, health.' },
  config: { may: ['direct', 'ports'], holds: 'One schema with defaults and reasons; loading, checking, documenting.' },
  store: {
    may: ['direct', 'ports', 'observe'],
    holds: 'The Store and Blobs ports over LevelDB, PostgreSQL, files, S3 and memory; the on-disk format, versioned.',
  },
  resolve: {
    may: ['direct', 'ports', 'observe', 'asn1', 'x509'],
    holds: 'Certificate discovery, mail exchangers, issuers and revocation over the network, within limits.',
  },
  publish: {
    may: ['direct', 'ports', 'observe', 'asn1', 'x509'],
    holds:
      'What others read of ours: certificates, by an authoritative name server and in an LDAP directory; accounts, for a Dovecot.',
  },
  pkcs11: {
    may: ['direct', 'ports', 'asn1'],
    holds: 'Private keys in PKCS#11 tokens: sessions, logging in, and the PrivateKey of the port over them.',
  },
  audit: { may: ['direct', 'ports', 'observe'], holds: 'Append-only, hash-chained; no clinical content.' },
  upkeep: {
    may: ['direct', 'ports', 'audit'],
    holds: 'Looking after what lasts: verification, backup and restore, moving to another store, figures.',
  },
}

const edge = [
  ...['direct', 'ports', 'pipeline', 'directory', 'spool', 'mailbox', 'record', 'people', 'consent', 'connect'],
  ...['observe', 'config'],
]
const edges = {
  smtp: {
    may: edge,
    holds:
      'The listening side, for other gateways and for systems of our own: sessions, the guard on the wire, replies.',
  },
  delivery: {
    may: edge,
    holds:
      'The sending side, to gateways, systems of our own and webhooks: schedule, attempt, TLS policy, worker loop.',
  },
  api: { may: edge, holds: 'HTTP: routes, problem details, one OpenAPI document.' },
  oauth: {
    may: edge,
    holds: 'The authorization server: OAuth 2.1, SMART App Launch and Backend Services, registration, devices.',
  },
  pages: {
    may: edge,
    holds: 'Pages for people, made here: signing in, consent, pickup, activation. No script is needed.',
  },
  cli: { may: edge, holds: 'Commands for operators, and the control socket they travel over.' },
}

const rooms = { ...leaf, ...features, ...pipeline, ...adapters, ...edges }

/** Rooms that only `main.ts` wires and that may import everything. */
const wiring = {
  demo: 'A gateway on loopback and a far side made of OpenSSL: made-up mail, and what becomes of it.',
  gateway: 'The running gateway, part by part: what each is opened with, and how it ends.',
  workers: 'Entry points of worker threads: key arithmetic and parsing, off the main loop.',
}

/** The files that stand in no room, because they wire all of them. */
const entries = ['main.ts', 'gateway.ts', 'homes.ts', 'house.ts', 'operator.ts']

/** Rooms without input or output: time, chance, disk and network come in through ports. */
const pure = [...core, 'pipeline']

/** Files of pure rooms that may set timers: the loops that wait for work. What they wait for still comes from the clock port. */
const waiting = ['pipeline/work.ts']

/** The platform's own modules that a pure room may use. */
const pureBuiltins = [
  'buffer',
  'crypto',
  'events',
  'stream',
  'stream/promises',
  'string_decoder',
  'url',
  'util',
  'util/types',
  'zlib',
]

/** Each package, and the only places of src/ (a room, a folder of one, or a file without `.ts`) that may name it. A package without a row may be named nowhere. */
const fences = [
  { packages: ['smtp-server'], places: ['smtp'] },
  { packages: ['nodemailer'], places: ['delivery', 'notices'] },
  { packages: ['level', 'classic-level', 'abstract-level'], places: ['store/level'] },
  { packages: ['pg'], places: ['store/postgres'] },
  { packages: ['aws4'], places: ['store/s3'] },
  { packages: ['pkijs', 'asn1js', 'node-forge'], places: ['smime', 'trust', 'resolve'] },
  { packages: ['saxes'], places: ['xml'] },
  { packages: ['fast-xml-parser'], places: ['xml', 'demo'] },
  { packages: ['yauzl'], places: ['clinical'] },
  { packages: ['mailparser'], places: ['mime'] },
  { packages: ['fastify'], places: ['api', 'oauth', 'pages'] },
  { packages: ['@fastify/swagger', 'fastify-type-provider-zod'], places: ['api'] },
  { packages: ['@fastify/cookie'], places: ['api'] },
  { packages: ['@fastify/formbody'], places: ['pages'] },
  { packages: ['zod'], places: ['api', 'config', 'pages'] },
  { packages: ['oidc-provider'], places: ['oauth'] },
  { packages: ['jose'], places: ['oauth', 'connect'] },
  { packages: ['argon2'], places: ['keyring'] },
  { packages: ['@simplewebauthn/server', 'otpauth'], places: ['people'] },
  { packages: ['rijndael-js'], places: ['connect'] },
  { packages: ['qrcode'], places: ['pages'] },
  { packages: ['yaml'], places: ['config'] },
  { packages: ['pino', 'prom-client'], places: ['observe'] },
  { packages: ['commander'], places: ['cli'] },
  { packages: ['dns-packet'], places: ['resolve'] },
  { packages: ['ldapts'], places: ['publish'] },
  { packages: ['koffi'], places: ['pkcs11'] },
  { packages: ['piscina'], places: ['main', 'workers'] },
]

module.exports = { rooms, wiring, entries, pure, waiting, pureBuiltins, fences }
