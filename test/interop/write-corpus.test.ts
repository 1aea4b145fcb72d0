import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { writeCcd } from '../../src/clinical/write/ccd/document.js'
import { writeCcr } from '../../src/clinical/write/ccr/document.js'
import { select } from '../../src/clinical/write/selection.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import { subjectOf } from '../../src/direct/subject.js'
import { ccdaFaults, isCcd, treeOf } from '../clinical/ccda-rules.js'

const folder = new URL('../../../shared/corpus/clinical/', import.meta.url)
const present = existsSync(folder)
const head = {
  id: '6f1c2f0a-5b7d-4a8e-9c3d-2e1f0a9b8c7d',
  at: { text: '2026-01-02T03:04:05', precision: 'second', offsetMinutes: 0, source: '20260102030405+0000' },
  title: 'Summary',
  custodian: { kind: 'organization', text: 'Example Gateway', identifiers: [] },
} as const

function bytesOf(name: string): Uint8Array {
  return readFileSync(new URL(encodeURI(name).replaceAll('#', '%23'), folder))
}

/**
 * Codes of what each item is about, with whether it is so and whether it happened: how often each is told. A code that an
 * item has twice counts once. Neither notes nor what stands in the header count, nor teams: they have no codes of their own.
 */
function facts(items: readonly RecordItem[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { content, negated, intent } of items) {
    if (['note', 'demographics', 'document', 'care-team'].includes(content.type)) continue
    const codes = new Set(subjectOf(content)?.codings.map(({ code }) => code))
    // The guide has the code of directives beside whichever their source gave them.
    codes.delete('75320-2')
    const happened = intent === undefined || intent === 'performed'
    for (const code of codes) {
      const fact = [content.type, code, negated ? 'not so' : 'so', happened ? 'happened' : 'to come'].join(' ')
      counts.set(fact, (counts.get(fact) ?? 0) + 1)
    }
  }
  return counts
}

/** Facts that `one` tells more often than `other`. */
function beyond(one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): string[] {
  return [...one].filter(([fact, count]) => count > (other.get(fact) ?? 0)).map(([fact]) => fact)
}

async function again(bytes: Uint8Array): Promise<readonly RecordItem[]> {
  return (await readDocument(bytes)).documents[0]?.items ?? []
}

/** Faults that samples of HL7 and ONC truly have, and in how many documents: words that no longer stand there, a code before its template. */
const knownFaults: Readonly<Record<string, number>> = { 'nothing has the ID …': 6, 'act: elements out of order': 1 }

describe.skipIf(!present)(`documents that exist publicly (skipped without ../shared: ${!present})`, () => {
  const names = present ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : []

  test('a CCD of their items tells each fact once again, and nothing else', async () => {
    const wrong: string[] = []
    let told = 0
    for (const name of names.filter((one) => /\.(xml|ccda|zip)$/i.test(one))) {
      for (const { items } of (await readDocument(bytesOf(name))).documents) {
        const own = items.find(({ content }) => content.type === 'demographics')
        const written = writeCcd(select(items.map((item) => ({ item }))), head, own)
        if (written.kind !== 'written') throw new Error(`${name}: ${written.kind}`)
        const [before, after] = [facts(items), facts(await again(written.bytes))]
        told += before.size
        wrong.push(...beyond(after, before).map((fact) => `${name}: ${fact} is new`))
        wrong.push(...beyond(before, after).map((fact) => `${name}: ${fact} is lost`))
        wrong.push(...ccdaFaults(treeOf(Buffer.from(written.bytes).toString())).map((fault) => `${name}: ${fault}`))
      }
    }
    expect(wrong).toEqual([])
    expect(told).toBeGreaterThan(4_000)
  }, 300_000)

  test('a CCR of their items tells nothing as done or true that was not, and loses nothing but to a comment or a plan', async () => {
    const wrong: string[] = []
    let told = 0
    for (const name of names.filter((one) => /\.(xml|ccda|zip)$/i.test(one))) {
      for (const { items } of (await readDocument(bytesOf(name))).documents) {
        const own = items.find(({ content }) => content.type === 'demographics')
        const written = writeCcr(select(items.map((item) => ({ item }))), head, own)
        if (written.kind !== 'written') throw new Error(`${name}: ${written.kind}`)
        const back = await again(written.bytes)
        const [before, after] = [facts(items), facts(back)]
        told += before.size
        wrong.push(
          ...beyond(after, before)
            .filter((fact) => !fact.endsWith('to come'))
            .map((fact) => `${name}: ${fact} is new`),
        )
        // In a comment, in a plan, or in the patient's own entry, and so beside the type it had.
        const inWords = new Set(written.inWords)
        const elsewhere = facts(items.filter(({ id }) => inWords.has(id)))
        const birthSex = 'social-history 76689-9 so happened'
        wrong.push(
          ...beyond(before, after)
            .filter((fact) => !elsewhere.has(fact) && !fact.endsWith('to come') && fact !== birthSex)
            .filter((fact) => !fact.startsWith('plan '))
            .map((fact) => `${name}: ${fact} is lost`),
        )
      }
    }
    expect(wrong).toEqual([])
    expect(told).toBeGreaterThan(4_000)
  }, 300_000)

  test('the rules that judge what we write find in good documents only what is wrong with them', () => {
    const counts: Record<string, number> = {}
    let [judged, ccds] = [0, 0]
    for (const name of names.filter((one) =>
      /^(onc-cures-update|hl7-ccda-examples|hl7-cda-ccda)\b.*\.xml$/i.test(one),
    )) {
      const xml = Buffer.from(bytesOf(name)).toString()
      if (!/<(\w+:)?ClinicalDocument[\s>]/.test(xml)) continue
      const root = treeOf(xml)
      judged++
      if (isCcd(root)) ccds++
      const faults = ccdaFaults(root, { versions: false, document: isCcd(root) })
      for (const kind of new Set(faults.map((fault) => fault.replace(/(ID) \S+/, '$1 …'))))
        counts[kind] = (counts[kind] ?? 0) + 1
    }
    expect(counts).toEqual(knownFaults)
    expect({ judged, ccds }).toEqual({ judged: 78, ccds: 13 })
  }, 120_000)
})
