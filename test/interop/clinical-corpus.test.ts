import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { XMLParser } from 'fast-xml-parser'
import { describe, expect, it } from 'vitest'
import { type ReadDocument, readDocument } from '../../src/clinical/read.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import type { PartialDate } from '../../src/direct/datatypes.js'

const home = '../shared/corpus/clinical'
const there = existsSync(home)
const absent = there ? '' : ' (skipped: ../shared/corpus/clinical is not there)'

/** Another parser, so that what the reader says is judged by a tree it did not make. */
interface Other {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly Other[]
}

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  htmlEntities: true,
})

function otherTree(text: string): Other {
  const convert = (nodes: readonly Record<string, unknown>[]): Other[] =>
    nodes.flatMap((node) => {
      const name = Object.keys(node).find((key) => key !== ':@')
      if (name === undefined || name.startsWith('#') || name.startsWith('?')) return []
      const attributes = (node[':@'] ?? {}) as Record<string, string>
      const prefix = name.includes(':') ? name.slice(0, name.indexOf(':')) : ''
      // Extension elements share local names with those of CDA and would shift their positions.
      if (prefix === 'sdtc') return []
      return [
        {
          name: name.slice(prefix === '' ? 0 : prefix.length + 1),
          attributes,
          children: convert(node[name] as Record<string, unknown>[]),
        },
      ]
    })
  return { name: '', attributes: {}, children: convert(parser.parse(text)) }
}

/** Elements from the root to the one that a path names; the last is undefined where the path leads nowhere. */
function along(root: Other, path: string): (Other | undefined)[] {
  const found: (Other | undefined)[] = []
  let at: Other | undefined = root
  for (const step of path.split('/')) {
    const [, name = '', position = ''] = /^(.*)\[(\d+)\]$/.exec(step) ?? []
    at = at?.children.filter((one) => one.name === name)[Number(position) - 1]
    found.push(at)
  }
  return found
}

function within(node: Other): Other[] {
  return [node, ...node.children.flatMap(within)]
}

function paths(node: Other, path: string, wanted: string): string[] {
  const counts = new Map<string, number>()
  return node.children.flatMap((one) => {
    const position = (counts.get(one.name) ?? 0) + 1
    counts.set(one.name, position)
    const here = `${path}${path && '/'}${one.name}[${position}]`
    return [...(one.name === wanted ? [here] : []), ...paths(one, here, wanted)]
  })
}

const denial = new Set(['160244002', '160245001', '716186003', '409137002', '429625007'])

/** What is wrong with an item, judged by the other tree. */
function violations(item: RecordItem, root: Other): string[] {
  const wrong: string[] = []
  const trail = along(root, item.provenance.entry)
  const statement = trail.at(-1)
  if (statement === undefined) return ['the path leads nowhere']
  const entryAt = trail.findIndex((one) => one?.name === 'entry')
  const inEntry = entryAt < 0 ? [statement] : trail.slice(entryAt)
  const all = inEntry[0] ? within(inEntry[0]) : []

  const negation = inEntry.some((one) => one?.attributes['negationInd'] === 'true')
  if (negation && !item.negated) wrong.push('a negated statement became a positive item')
  if (item.negated && !negation && !all.some((one) => denial.has(one.attributes['code'] ?? '')))
    wrong.push('denied without reason')

  const mood = statement.attributes['moodCode']
  if (mood === 'GOL' && item.intent !== 'goal') wrong.push('a goal became a fact')
  if (['INT', 'RQO', 'PRMS', 'PRP', 'ARQ'].includes(mood ?? '') && item.intent === 'performed')
    wrong.push(`${mood} became performed`)
  if ((mood === undefined || mood === 'EVN') && item.intent !== undefined && item.intent !== 'performed')
    wrong.push('performed became a plan')

  const times = new Set(
    all.flatMap((one) => (one.attributes['value'] === undefined ? [] : [one.attributes['value'].trim()])),
  )
  for (const date of [item.when?.value, item.when?.low, item.when?.high].filter(
    (one): one is PartialDate => one !== undefined,
  )) {
    if (!times.has(date.source.trim()) && entryAt >= 0) wrong.push('a date that the entry does not have')
    const digits = date.source
      .trim()
      .replace(/[+-]\d+$|Z$/, '')
      .replace(/\D/g, '')
    if (date.text.replace(/\D/g, '') !== digits) wrong.push(`${date.source} became ${date.text}`)
  }

  const { content } = item
  if (content.type === 'medication') {
    const dose = statement.children.find((one) => one.name === 'doseQuantity')?.attributes
    if (content.dose?.unit !== undefined && content.dose.unit !== dose?.['unit'])
      wrong.push('a unit that the dose does not have')
    if (content.dose?.value !== undefined && content.dose.value !== dose?.['value']?.trim()) wrong.push('another dose')
  }
  if ((content.type === 'result' || content.type === 'vital-sign') && content.value?.kind === 'quantity') {
    const { value, unit } = content.value.quantity
    const holders = within(statement).filter((one) => one.attributes['value']?.trim() === value)
    if (holders.length === 0) wrong.push('a number that the statement does not have')
    if (
      unit !== undefined &&
      !holders.some((one) => one.attributes['unit'] === unit || one.attributes['unit'] === undefined)
    )
      wrong.push('another unit')
  }
  if (content.type === 'problem') {
    const codes = new Set(within(statement).map((one) => one.attributes['code']?.trim()))
    for (const { code } of content.problem.codings)
      if (!codes.has(code)) wrong.push('a code that the statement does not have')
  }
  return wrong
}

describe.skipIf(!there)(`every file of the corpus${absent}`, () => {
  const files = there
    ? readdirSync(home, { recursive: true })
        .map(String)
        .filter((name) => statSync(join(home, name)).isFile())
    : []
  const read = new Map<string, ReadDocument>()

  it('is read without a crash', async () => {
    const start = performance.now()
    let bytes = 0
    for (const name of files) {
      const content = readFileSync(join(home, name))
      bytes += content.length
      read.set(name, await readDocument(content, { name }))
    }
    const seconds = (performance.now() - start) / 1000
    const parts = [...read.values()].flatMap((one) => one.documents)
    const items = parts.reduce((sum, one) => sum + one.items.length, 0)
    const unmapped = parts.reduce(
      (sum, one) => sum + one.diagnostics.filter(({ code }) => code === 'unmapped-entry').length,
      0,
    )
    process.stdout.write(
      `${files.length} files, ${parts.length} documents, ${items} items, ${unmapped} unmapped entries; ${(files.length / seconds).toFixed(0)} files/s, ${(bytes / 1e6 / seconds).toFixed(1)} MB/s\n`,
    )
    expect(files.length).toBeGreaterThan(1000)
    expect(items).toBeGreaterThan(4700)
    expect(parts.flatMap((one) => one.diagnostics).filter(({ detail }) => detail === 'the reader failed')).toEqual([])
  }, 120_000)

  it('is recognised as what the index says', () => {
    const formats: Readonly<Record<string, string>> = {
      'C-CDA 1.1': 'c-cda 1.1',
      'C-CDA 2.0': 'c-cda 2.0',
      'C-CDA 2.1': 'c-cda 2.1',
      'C-CDA 3.0+': 'c-cda 3.0',
      'C32/HITSP': 'c32',
      'CCD(R1)': 'ccd',
      CCR: 'ccr',
      'XDM zip': 'xdm',
    }
    const index = readFileSync(join(home, 'INDEX.tsv'), 'utf8')
    let judged = 0
    const wrong = index
      .split('\n')
      .slice(1)
      .flatMap((row) => {
        const [name = '', kind = ''] = row.split('\t')
        const expected = formats[kind]
        if (expected === undefined) return []
        judged++
        const content = read.get(name)?.documents[0]?.item.content
        const got =
          content?.type === 'document' ? [content.format, content.formatVersion].filter(Boolean).join(' ') : ''
        return got === expected ? [] : [`${name}: ${kind} read as ${got}`]
      })
    expect(judged).toBeGreaterThan(190)
    // One sample is not well-formed: its tags do not match.
    expect(wrong).toEqual(['hl7-cda-ccda/replacement_document.xml: C-CDA 1.1 read as xml'])
  })

  it('finds the documents of every XDM package', () => {
    for (const [name, { documents }] of read) {
      if (!/\.zip$/i.test(name)) continue
      expect(documents.length, name).toBeGreaterThan(1)
      expect(
        documents.slice(1).some((one) => one.items.length > 3),
        name,
      ).toBe(true)
    }
  })

  it('gives no item that its source does not say, judged by another parser', () => {
    let judged = 0
    const wrong: string[] = []
    for (const [name, { documents }] of read) {
      const [part] = documents
      if (part?.item.content.type !== 'document' || !['c-cda', 'c32', 'ccd', 'cda'].includes(part.item.content.format))
        continue
      const root = otherTree(readFileSync(join(home, name), 'utf8').replace(/^\ufeff/, ''))
      for (const item of part.items) {
        judged++
        for (const one of violations(item, root))
          wrong.push(`${name} ${item.provenance.entry} ${item.content.type}: ${one}`)
      }
    }
    expect(judged).toBeGreaterThan(4400)
    expect(wrong).toEqual([])
  })

  it('loses no entry: each is an item, more of another, or a diagnostic', () => {
    let entries = 0
    let told = 0
    const lost: string[] = []
    for (const [name, { documents }] of read) {
      const [part] = documents
      if (part?.item.content.type !== 'document' || !['c-cda', 'c32', 'ccd', 'cda'].includes(part.item.content.format))
        continue
      const root = otherTree(readFileSync(join(home, name), 'utf8').replace(/^\ufeff/, ''))
      const accounted = [
        ...part.items.map((one) => one.provenance.entry),
        ...part.diagnostics.filter((one) => one.code === 'unmapped-entry').map((one) => one.where),
        ...part.entries.filter((one) => one.kind === 'merged').map((one) => one.entry),
      ]
      for (const path of paths(root, '', 'entry')) {
        if (!path.startsWith('ClinicalDocument[1]/component[') || !path.includes('/structuredBody[')) continue
        entries++
        told += part.entries.filter((one) => one.entry === path).length
        if (!accounted.some((one) => one === path || one.startsWith(`${path}/`))) lost.push(`${name} ${path}`)
      }
    }
    expect(entries).toBeGreaterThan(3000)
    expect(lost).toEqual([])
    // One outcome for each entry, no more and no fewer.
    expect(told).toBe(entries)
  })

  it('would be caught if a negation were lost', () => {
    const root = otherTree('<a><entry><b negationInd="true"/></entry></a>')
    const item: RecordItem = {
      id: '',
      content: { type: 'procedure', procedure: { codings: [] }, bodySites: [], devices: [] },
      negated: false,
      identifiers: [],
      provenance: { document: '', entry: 'a[1]/entry[1]/b[1]', authors: [] },
    }
    expect(violations(item, root)).toEqual(['a negated statement became a positive item'])
    expect(violations({ ...item, negated: true }, root)).toEqual([])
  })
})
