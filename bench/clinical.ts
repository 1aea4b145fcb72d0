import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readDocument } from '../src/clinical/read.js'
import { writeDocument } from '../src/clinical/write/document.js'
import { select } from '../src/clinical/write/selection.js'
import { sampleCcda, sampleCcr } from '../src/demo/documents.js'
import type { RecordItem } from '../src/direct/clinical.js'
import { measureFhir } from './fhir.js'

/**
 * How fast clinical documents are read on one core, how much of their codes is found, and what the largest costs in
 * memory, beside the libraries of others, each in a process of its own and all in one run. The documents are the corpus
 * beside the project where there is one, else samples that the project makes.
 * Run: npm run bench -- clinical, clinical:xml for the XML parsers alone, clinical:write for how fast documents are
 * written, or clinical:fhir for how fast items leave as FHIR
 */

const seconds = '6'
const peers = 'bench/peers'
const corpus = '../shared/corpus/clinical'

function installPeers(): void {
  if (existsSync(`${peers}/node_modules/.package-lock.json`)) return
  console.log('installing the libraries to compare with (bench/peers)')
  const { status } = spawnSync('npm', ['ci', '--prefix', peers, '--no-audit', '--no-fund'], { stdio: 'inherit' })
  if (status !== 0) console.log('not all of them could be installed; those that are missing are named below')
}

interface Listed {
  readonly file: string
  readonly codes: readonly string[]
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))
}

/** Whole documents: what has a root of CDA or CCR. */
function documents(scratch: string): Listed[] {
  if (existsSync(corpus)) {
    const whole = filesUnder(corpus).filter(
      (file) =>
        /\.(xml|ccda)$/i.test(file) &&
        statSync(file).isFile() &&
        !file.includes('/sections/') &&
        /<(\w+:)?(ClinicalDocument|ContinuityOfCareRecord)[\s>]/.test(readFileSync(file, 'latin1').slice(0, 20_000)),
    )
    return whole.map((file) => ({ file, codes: codesOf(readFileSync(file, 'utf8')) }))
  }
  console.log('The corpus is not beside the project: samples of our own stand in.')
  return [sampleCcda(), sampleCcr()].map((bytes, at) => {
    const file = join(scratch, `sample-${at}.xml`)
    writeFileSync(file, bytes)
    return { file, codes: codesOf(Buffer.from(bytes).toString()) }
  })
}

/**
 * The codes of the terminologies that say what a statement is about (SNOMED CT, RxNorm, CVX, NDC, ICD, CPT; OIDs of CDA),
 * each once. Found with one expression over the text, so that no reader is favoured by how it looks at a document.
 */
function codesOf(text: string): string[] {
  const systems =
    '2\\.16\\.840\\.1\\.113883\\.6\\.(?:96|88|59|69|90|103|12|4)|2\\.16\\.840\\.1\\.113883\\.12\\.292|2\\.16\\.840\\.1\\.113883\\.4\\.9'
  const found = new Set<string>()
  for (const [element] of text
    .replace(/<!--[\s\S]*?-->/g, '')
    .matchAll(/<(?:\w+:)?(?:value|code|translation)\s[^>]*>/g)) {
    const code = /\scode="([^"]+)"/.exec(element)?.[1]
    if (code !== undefined && new RegExp(`codeSystem="(?:${systems})"`).test(element)) found.add(code)
  }
  return [...found]
}

/** A C-CDA of about `sizeBytes` with one long list of results. */
function largeDocument(sizeBytes: number): string {
  const oid = '2.16.840.1.113883'
  const head = `<?xml version="1.0" encoding="UTF-8"?><ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><typeId root="${oid}.1.3" extension="POCD_HD000040"/><templateId root="${oid}.10.20.22.1.2" extension="2015-08-01"/><id root="1.2.3.4.5"/><code code="34133-9" codeSystem="${oid}.6.1"/><title>Results</title><effectiveTime value="20240102030405+0000"/><recordTarget><patientRole><id root="1.2.3.4" extension="1"/><patient><name><given>Ada</given><family>Sample</family></name><administrativeGenderCode code="F" codeSystem="${oid}.5.1"/><birthTime value="19700101"/></patient></patientRole></recordTarget><component><structuredBody><component><section><templateId root="${oid}.10.20.22.2.3.1" extension="2015-08-01"/><code code="30954-2" codeSystem="${oid}.6.1"/><title>Results</title>`
  const tail = '</section></component></structuredBody></component></ClinicalDocument>'
  const rows: string[] = []
  const entries: string[] = []
  for (let at = 0, size = 0; size < sizeBytes; at++) {
    const row = `<tr ID="r${at}"><td ID="n${at}">Hemoglobin, sample ${at}</td><td>13.${at % 10} g/dL</td><td>2024-01-02</td></tr>`
    const entry = `
        <entry typeCode="DRIV">
          <organizer classCode="BATTERY" moodCode="EVN">
            <templateId root="${oid}.10.20.22.4.1" extension="2015-08-01"/>
            <id root="7d5a02b0-67a4-11db-bd13-${String(at).padStart(12, '0')}"/>
            <code code="57021-8" codeSystem="${oid}.6.1" displayName="CBC W Auto Differential panel in Blood"/>
            <statusCode code="completed"/>
            <effectiveTime><low value="20240102"/><high value="20240102"/></effectiveTime>
            <component>
              <observation classCode="OBS" moodCode="EVN">
                <templateId root="${oid}.10.20.22.4.2" extension="2015-08-01"/>
                <id root="107c2dc0-67a5-11db-bd13-${String(at).padStart(12, '0')}"/>
                <code code="718-7" codeSystem="${oid}.6.1" displayName="Hemoglobin"><originalText><reference value="#n${at}"/></originalText></code>
                <statusCode code="completed"/>
                <effectiveTime value="202401020304+0000"/>
                <value xsi:type="PQ" value="13.${at % 10}" unit="g/dL"/>
                <interpretationCode code="N" codeSystem="${oid}.5.83"/>
                <referenceRange><observationRange><value xsi:type="IVL_PQ"><low value="12.0" unit="g/dL"/><high value="15.5" unit="g/dL"/></value></observationRange></referenceRange>
              </observation>
            </component>
          </organizer>
        </entry>`
    rows.push(row)
    entries.push(entry)
    size += row.length + entry.length
  }
  const table = `<text><table><thead><tr><th>Test</th><th>Value</th><th>Date</th></tr></thead><tbody>${rows.join('')}</tbody></table></text>`
  return head + table + entries.join('') + tail
}

const libraries = ['@medplum/ccda', '@amida-tech/blue-button', 'bluebutton'] as const
const parsers = ['xml saxes, as the gateway has it', 'xml fast-xml-parser, validated', 'xml libxml2-wasm'] as const

/** What measure.mjs answers: about a list of documents, or about one alone. */
interface Told {
  readonly documents: number
  readonly readable: number
  readonly sizeBytes: number
  readonly perSecond: number
  readonly codes: number
  readonly found: number
  readonly crashed: boolean
  readonly cpuMs: number
  readonly rssKiB: number
  readonly idleKiB: number
}

/** Undefined where the library is not there, or does not end in time. @medplum/ccda wants a newer Node than the gateway does; everything else runs under the one at hand. */
function measure(reader: string, ...rest: readonly string[]): Told | undefined {
  const node = reader === '@medplum/ccda' ? `${peers}/node_modules/node/bin/node` : process.execPath
  const { stdout, status } = spawnSync(node, [`${peers}/measure.mjs`, reader, ...rest], {
    encoding: 'utf8',
    env: { ...process.env, READER: join(process.cwd(), 'scratch/bench/src/clinical/read.js') },
    maxBuffer: 1 << 20,
    timeout: 90_000,
  })
  if (status !== 0) return undefined
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}')
}

function compare(readers: readonly string[], list: string, large: string): void {
  let own = 0
  for (const reader of readers) {
    const told = measure(reader, list, seconds)
    if (told === undefined) {
      console.log(`${reader}: not measured, it does not load here`)
      continue
    }
    own ||= told.perSecond
    const mbPerSecond = (told.perSecond * told.sizeBytes) / told.readable / 1e6
    const found =
      told.codes > 0 && !reader.startsWith('xml ') ? `, ${((100 * told.found) / told.codes).toFixed(1)} % of codes` : ''
    console.log(
      `${reader}: ${told.perSecond.toFixed(0)} documents/s, ${mbPerSecond.toFixed(1)} MB/s (ours is ${(own / told.perSecond).toFixed(1)}x), reads ${told.readable} of ${told.documents}${found}; ${cost(measure(reader, large))}`,
    )
  }
}

function cost(memory: Told | undefined): string {
  if (memory === undefined || memory.crashed) return 'does not read 10 MB'
  return `10 MB in ${memory.cpuMs.toFixed(0)} ms, ${((memory.rssKiB - memory.idleKiB) / 1024).toFixed(0)} MiB more memory`
}

/** Items of the sample, over and over until there are so many, each time as if from another document. */
async function itemsOf(count: number): Promise<readonly RecordItem[]> {
  const own = (await readDocument(sampleCcda())).documents[0]?.items ?? []
  return Array.from({ length: Math.ceil(count / own.length) }, (_, round) =>
    own.map((item, at) => ({
      ...item,
      id: `${round * own.length + at}`.padStart(32, '0'),
      provenance: { ...item.provenance, document: `${round}`.padStart(64, '0') },
    })),
  )
    .flat()
    .slice(0, count)
}

/** How fast records of several sizes become documents, on one core, and how long the largest holds a thread. */
async function writing(): Promise<void> {
  for (const count of [50, 1_000, 10_000]) {
    const items = await itemsOf(count)
    const patient = items.find(({ content }) => content.type === 'demographics')
    const selected = select(items.map((item) => ({ item })))
    for (const format of ['ccd', 'ccr', 'xdm'] as const) {
      const request = {
        format,
        selected,
        ...(patient && { patient }),
        id: '6f1c2f0a-5b7d-4a8e-9c3d-2e1f0a9b8c7d',
        title: 'Summary',
        at: Date.UTC(2026, 0, 2),
        custodian: { kind: 'organization', text: 'Example', identifiers: [] },
        mostBytes: 64 * 1024 * 1024,
      } as const
      const begun = performance.now()
      let [documents, bytes, longestMs] = [0, 0, 0]
      do {
        const from = performance.now()
        const written = writeDocument(request)
        if (written.kind !== 'written') throw new Error(`${format} of ${count}: ${written.kind}`)
        longestMs = Math.max(longestMs, performance.now() - from)
        bytes += written.bytes.length
        documents++
      } while (performance.now() - begun < 2_000)
      const took = (performance.now() - begun) / 1_000
      console.log(
        `${format} of ${count} items: ${(documents / took).toFixed(1)} documents/s, ${(bytes / took / 1e6).toFixed(1)} MB/s, ${(bytes / documents / 1e6).toFixed(2)} MB each, the longest ${longestMs.toFixed(0)} ms`,
      )
    }
    const from = performance.now()
    structuredClone(selected)
    console.log(`${count} items to another thread: ${(performance.now() - from).toFixed(1)} ms`)
  }
}

function reading(): void {
  installPeers()
  mkdirSync('scratch', { recursive: true })
  const scratch = mkdtempSync(join(tmpdir(), 'direct-gateway-clinical-'))
  try {
    const listed = documents(scratch)
    const list = join(scratch, 'list.json')
    const large = join(scratch, 'large.xml')
    writeFileSync(list, JSON.stringify(listed))
    writeFileSync(large, largeDocument(10_000_000))
    console.log(`${listed.length} documents, one core each, the best of the rounds in ${seconds} s`)
    const xmlAlone = process.argv[2] === 'xml'
    compare(xmlAlone ? parsers : ['direct-gateway', ...libraries], list, large)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

if (process.argv[2] === 'write') await writing()
else if (process.argv[2] === 'fhir') await measureFhir()
else reading()
