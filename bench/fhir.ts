import { writeJson } from '../src/clinical/fhir/json.js'
import type { Sourced } from '../src/clinical/fhir/make.js'
import { provenancesOf, toFhir } from '../src/clinical/fhir/map.js'
import { readDocument } from '../src/clinical/read.js'
import { sampleCcda } from '../src/demo/documents.js'
import type { RecordItemType } from '../src/direct/clinical.js'
import { pause } from '../src/house.js'
import { openFhir } from '../src/pipeline/fhir.js'
import { dayOf } from '../src/record/rows.js'

/** How many resources a second leave as FHIR, with their sources, and how long a large record holds the loop for. */

const place = { record: 'r', base: 'https://gw.example/fhir' }
const access = {
  record: 'r',
  told: 'r',
  rules: 'all',
  custodian: true,
  actor: { by: 'bench', avenue: 'page' },
} as const
const seen = { access, base: place.base }
const entries = 10_000

/** The items of the sample document again and again, each time with other ids, panels and days. */
async function manyItems(): Promise<Sourced[]> {
  const { documents } = await readDocument(sampleCcda())
  const items = documents.flatMap((one) => one.items).filter(({ content }) => content.type !== 'demographics')
  return Array.from({ length: entries }, (_, at) => {
    const [round, item] = [Math.floor(at / items.length), items[at % items.length]]
    if (!item) throw new Error('the sample has no items')
    const { content, provenance } = item
    const panel = 'panel' in content ? content.panel : undefined
    const moved = panel ? { ...content, panel: { ...panel, entry: `${panel.entry}/${round}` } } : content
    const when = {
      value: { text: `20${10 + (round % 15)}-06-01`, precision: 'day', offsetMinutes: null, source: '' },
    } as const
    const id = `${at}`.padStart(32, '0')
    return { item: { ...item, id, content: moved, when, provenance }, addedAt: 1_700_000_000_000 }
  })
}

/** The longest time, in milliseconds, that nobody else had the loop while `work` ran. */
async function longestBlock(work: () => Promise<unknown>): Promise<number> {
  let [longest, last, over] = [0, performance.now(), false]
  const tick = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (!over) setImmediate(tick)
  }
  setImmediate(tick)
  await work()
  await new Promise((resolve) => setImmediate(resolve))
  over = true
  return longest
}

export async function measureFhir(): Promise<void> {
  const items = await manyItems()
  let best = 0
  let bytes = 0
  for (let round = 0; round < 8; round++) {
    const begun = performance.now()
    const { resources, context } = toFhir(items, place)
    const all = [...resources, ...provenancesOf(resources, context)]
    bytes = 0
    for (const { resource } of all) bytes += writeJson(resource).length
    best = Math.max(best, all.length / ((performance.now() - begun) / 1000))
  }
  console.log(
    `${entries} items: ${best.toFixed(0)} resources/s mapped and written on one core, ${(bytes / 1e6).toFixed(1)} MB in all`,
  )

  const sorted = items
    .map((one) => ({ ...one, at: `${dayOf(one.item)}/${one.item.id}` }))
    .sort((a, b) => (a.at < b.at ? 1 : -1))
  const source = { messageId: 'm', spoolId: 's', sender: 'dr@far.example', mailbox: 'p@gw.example' }
  const byType = new Map<RecordItemType, typeof sorted>()
  for (const one of sorted) byType.set(one.item.content.type, [...(byType.get(one.item.content.type) ?? []), one])
  const record = {
    async *current(_: string, { types, to }: { types: readonly RecordItemType[]; to?: string }) {
      for (const { item, at } of types.flatMap((type) => byType.get(type) ?? [])) {
        if (to !== undefined && !at.startsWith('0000') && at.slice(0, to.length) > to) continue
        const state = { state: 'current', conflicts: [], review: [], withheld: false, version: '1' } as const
        const stamps = { created: { at: 0 }, updated: { at: 0 } }
        yield { id: item.id, recordId: 'r', item, addedAt: 0, source, appearances: [], ...state, ...stamps }
      }
    },
    list: async () => ({ kind: 'page', items: [], unreadable: [] }),
    document: async () => undefined,
    documentBytes: async () => undefined,
  } as unknown as Parameters<typeof openFhir>[0]['record']
  const fhir = openFhir({ record, withheldLabels: [], pause })
  let pages = 0
  const walk = async () => {
    for (let query: [string, string][] | undefined = [['_count', '200']]; query; pages++) {
      const found = await fhir.everything(seen, query)
      if (found.kind !== 'bundle') throw new Error(found.kind)
      const next = /"relation":"next","url":"([^"]+)"/.exec(found.json.slice(0, 2_000))?.[1]
      query = next === undefined ? undefined : [...new URL(next).searchParams]
    }
  }
  await walk()
  pages = 0
  const begun = performance.now()
  const blocked = await longestBlock(walk)
  const spent = performance.now() - begun
  console.log(
    `$everything: ${pages} pages in ${spent.toFixed(0)} ms, ${(spent / pages).toFixed(1)} ms a page, the loop held for ${blocked.toFixed(0)} ms at most`,
  )
  const search = await longestBlock(() => fhir.search(seen, 'Observation', [], false))
  console.log(`a search through all observations holds the loop for ${search.toFixed(0)} ms at most`)
}
