import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { writeXdm } from '../../../src/clinical/xdm/write.js'
import { sampleCcda, sampleCcr } from '../../../src/demo/documents.js'
import { complete, type Finding, type RunGroup, told, wants } from '../finding.js'
import { opened } from '../world/cms.js'
import { messageIdIn } from '../world/told.js'
import { image, mixed, pdf } from './letters.js'
import { edgeAddress, farDomain, ourDomain } from './tracked-letters.js'
import { openTracked, type TrackedWorld } from './tracked-world.js'
import { type Entry, entriesOf, fullFaults, hashFaults, labelFaults, structureFaults } from './xdm-rules.js'

/** Packages of the gateway's, taken off the wire on the far side and opened by OpenSSL, held against the toolkits' rules. */

interface Package {
  readonly name: string
  readonly level: 'full' | 'limited'
  readonly entries: readonly Entry[]
}

const recipient = `reader1@${farDomain}`

function made(level: 'full' | 'limited', several: boolean): Buffer {
  const documents = [
    { bytes: sampleCcda() },
    ...(several ? [sampleCcr(), pdf.bytes, image.bytes].map((bytes) => ({ bytes })) : []),
  ]
  const outcome = writeXdm({
    documents,
    level,
    submission: {
      at: Date.UTC(2026, 4, 6, 7, 8, 9),
      sourceId: '2.16.840.1.113883.19.5',
      title: 'Visit summary & more',
      author: { address: edgeAddress('api') },
      recipients: [{ address: recipient }],
      ...(level === 'full' && { patient: { root: '2.16.840.1.113883.19.5.1', value: 'P-1' } }),
    },
  })
  if (outcome.kind !== 'package') throw new Error(`no package: ${JSON.stringify(outcome)}`)
  return outcome.bytes
}

const packages = [
  { name: 'full', level: 'full', several: false },
  { name: 'full-several', level: 'full', several: true },
  { name: 'limited', level: 'limited', several: false },
  { name: 'limited-several', level: 'limited', several: true },
] as const

type Rule = (one: Package) => readonly string[]
const rules: Readonly<Record<string, Rule>> = {
  'XDM-STRUCT': ({ entries }) => structureFaults(entries),
  'XDM-HASH': ({ entries }) => hashFaults(entries),
  'XDM-LIMITED': ({ entries, level }) => labelFaults(entries, level === 'limited'),
  'XDM-FULLSLOTS': ({ entries, level }) => (level === 'full' ? fullFaults(entries) : []),
}

/** Changes that each rule must see: a rule that passes one of them has proved nothing. */
const edited = (find: RegExp, put: string) => (entries: readonly Entry[]) =>
  entries.map((entry) =>
    entry.name.endsWith('METADATA.XML')
      ? { ...entry, bytes: Buffer.from(entry.bytes.toString('utf8').replace(find, put)) }
      : entry,
  )
const renamed = (from: string, to: string) => (entries: readonly Entry[]) =>
  entries.map((entry) => (entry.name === from ? { ...entry, name: to } : entry))
const without = (name: string) => (entries: readonly Entry[]) => entries.filter((entry) => entry.name !== name)
const slotless = (name: string) => edited(new RegExp(`<Slot name="${name}">.*?</Slot>`), '')
const codeless = (scheme: string) =>
  edited(new RegExp(`classificationScheme="urn:uuid:${scheme}`), 'classificationScheme="urn:uuid:0')
const nameless = (scheme: string) =>
  edited(new RegExp(`identificationScheme="urn:uuid:${scheme}`), 'identificationScheme="urn:uuid:0')

const seeded: Readonly<Record<string, readonly ((entries: readonly Entry[]) => readonly Entry[])[]>> = {
  'XDM-STRUCT': [
    ...['INDEX.HTM', 'README.TXT', 'IHE_XDM/', 'IHE_XDM/SUBSET01/', 'IHE_XDM/SUBSET01/METADATA.XML'].map(without),
    renamed('IHE_XDM/SUBSET01/DOC00001.XML', 'IHE_XDM/SUBSET01/document1.xml'),
    renamed('IHE_XDM/SUBSET01/DOC00001.XML', 'IHE_XDM/SUBSET01/DOC000001.XML'),
    (entries) =>
      entries.map((one) => (one.name === 'INDEX.HTM' ? { ...one, bytes: Buffer.from('<html><p></html>') } : one)),
  ],
  'XDM-HASH': [
    without('IHE_XDM/SUBSET01/DOC00001.XML'),
    ...['URI', 'size', 'hash'].map(slotless),
    (entries) =>
      entries.map((one) =>
        one.name.endsWith('DOC00001.XML')
          ? { ...one, bytes: Buffer.from(one.bytes.map((byte, at) => (at === 99 ? byte ^ 1 : byte))) }
          : one,
      ),
  ],
  'XDM-LIMITED': [
    edited(/5003a9db-8d8d-49e6-bf0c-990e34ac7707/, '0'),
    edited(/ab9b591b-83ab-4d03-8f5d-f93b1fb92e85/, '0'),
    edited(/<Association .*?<\/Association>/, ''),
    nameless('554ac39e'),
  ],
  'XDM-FULLSLOTS': [
    ...['creationTime', 'languageCode', 'sourcePatientId', 'submissionTime'].map(slotless),
    ...['41a5887f', 'f4f85eac', 'a09d5840', 'f33fb8ac', 'f0306f51', 'cccf5598', 'aa543740'].map(codeless),
    ...['58a6f841', '2e82c1f6', '6b5aea1a', '96fdda7c', '554ac39e'].map(nameless),
  ],
}

/** What is known to be wrong with the samples of other makers: how many faults each rule finds in them. */
const samples: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'BadXHTML.zip': { 'XDM-STRUCT': 1, 'XDM-FULLSLOTS': 5 },
  'C32_SAMPLE1_IN_XDM.ZIP': { 'XDM-STRUCT': 2, 'XDM-FULLSLOTS': 5 },
  'CCDA_Ambulatory_in_XDM.zip': { 'XDM-STRUCT': 2, 'XDM-FULLSLOTS': 5 },
  'CCDA_INPATIENT_IN_XDM.ZIP': { 'XDM-STRUCT': 1, 'XDM-FULLSLOTS': 5 },
  'CCR_SAMPLE1_IN_XDM.ZIP': { 'XDM-STRUCT': 2, 'XDM-FULLSLOTS': 5 },
  'XDM_FULL.ZIP': { 'XDM-STRUCT': 1, 'XDM-FULLSLOTS': 5 },
  'XDM_LIM.ZIP': { 'XDM-STRUCT': 1, 'XDM-LIMITED': 1 },
}

function sampleFaults(id: string, rule: Rule): { readonly seen: number; readonly wrong: readonly string[] } {
  const wrong: string[] = []
  let seen = 0
  for (const [file, known] of Object.entries(samples)) {
    const path = fileURLToPath(new URL(`../../../../shared/corpus/clinical/onc-ett/${file}`, import.meta.url))
    if (!existsSync(path)) continue
    seen++
    const level = /LIM/.test(file) ? 'limited' : 'full'
    const found = rule({ name: file, level, entries: entriesOf(readFileSync(path)) })
    if (found.length !== (known[id] ?? 0))
      wrong.push(`${file}: ${found.join('; ') || 'nothing'} where ${known[id] ?? 0} are known`)
  }
  return { seen, wrong }
}

/** Runs the group: packages handed in by a client of the API and by an EHR, and what the far side got. */
export const xdm: RunGroup = async (measure) => {
  const closers: (() => Promise<unknown>)[] = []
  try {
    const world = await openTracked(
      measure,
      'xdm',
      { timers: { processed: 600, dispatched: 600 }, edges: ['smtp'] },
      closers,
    )
    const arrived: Package[] = []
    const faults: string[] = []
    for (const { name, level, several } of packages) {
      for (const edge of ['api', 'smtp'] as const) {
        const bytes = made(level, several)
        const sent = await handedOn(world, `${name}-${edge}`, edge, bytes)
        if (!sent?.bytes.equals(bytes)) faults.push(`${name} by ${edge} did not arrive as it was handed in`)
        if (sent && !sent.subject.includes('XDM/1.0/DDM'))
          faults.push(`${name} by ${edge} is not marked in its subject`)
        if (sent) arrived.push({ name: `${name}-${edge}`, level, entries: entriesOf(sent.bytes) })
      }
    }
    const found = Object.entries(rules)
      .filter(([id]) => wants(measure, id))
      .map(([id, rule]) => judged(id, rule, arrived, faults))
    return complete('xdm', measure, found)
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

function judged(id: string, rule: Rule, arrived: readonly Package[], faults: readonly string[]): Finding {
  const wrong = [...faults, ...arrived.flatMap((one) => rule(one).map((fault) => `${one.name}: ${fault}`))]
  if (arrived.length === 0) wrong.push('nothing arrived')
  const level = id === 'XDM-LIMITED' ? 'limited' : 'full'
  const sound = arrived.find((one) => one.level === level)
  const defects = seeded[id] ?? []
  for (const [at, defect] of defects.entries())
    if (sound && rule({ ...sound, entries: defect(sound.entries) }).length === 0)
      wrong.push(`defect ${at + 1} was not seen`)
  const others = sampleFaults(id, rule)
  const seen = `${arrived.length} packages hold, ${defects.length} planted defects seen, ${others.seen} samples as known`
  return told(id)({ seen, wrong: [...wrong, ...others.wrong] })
}

/** Hands a package in, and answers what OpenSSL finds in what the far side got. */
async function handedOn(
  world: TrackedWorld,
  name: string,
  edge: 'api' | 'smtp',
  bytes: Buffer,
): Promise<{ readonly subject: string; readonly bytes: Buffer } | undefined> {
  const id = `${name}@ehr.${ourDomain}`
  const reply = await world.submit(
    edge,
    [recipient],
    [
      `From: <${edgeAddress(edge)}>`,
      `To: <${recipient}>`,
      'Subject: A patient',
      `Message-ID: <${id}>`,
      `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
      'MIME-Version: 1.0',
      mixed({ name: 'XDM.ZIP', type: 'application/zip', bytes }).mime,
    ].join('\r\n'),
  )
  if (!reply.startsWith('250')) throw new Error(`${name} was refused: ${reply}`)
  const mail = () => world.far.caught.find(({ wire }) => messageIdIn(wire.toString('latin1')) === id)
  for (const end = Date.now() + 30_000; Date.now() < end && !mail(); ) await sleep(100)
  const caught = mail()
  if (!caught) return undefined
  const inner = await opened(world.openssl, caught.wire, world.seals.far, world.ours.certificatePath)
  if (inner.kind !== 'opened') throw new Error(inner.detail)
  const [, packed = ''] =
    /filename="?XDM\.ZIP"?\r?\n(?:[^\r\n]+\r?\n)*\r?\n([A-Za-z0-9+/=\r\n]+)/.exec(inner.entity) ?? []
  const [, subject = ''] = /^Subject:((?:[^\r\n]|\r?\n[ \t])*)/im.exec(inner.entity) ?? []
  return { subject, bytes: Buffer.from(packed, 'base64') }
}
