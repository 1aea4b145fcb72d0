import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readDocument } from '../../src/clinical/read.js'
import { cd, document, loinc, roleCode, sct, section, t } from './cda-document.js'

/** A document with a statement of every further kind, and elements that may stand where others did. */
const observation = (
  root: string,
  more = '',
) => `<observation classCode="OBS" moodCode="EVN">${t(root)}<id root="1.2" extension="${root}"/>
  <code code="54522-8" ${loinc}/><text><reference value="#r1"/></text><statusCode code="completed"/><effectiveTime><low value="2015"/></effectiveTime>
  <value ${cd('105504002', 'Cane')}/>${more}</observation>`
const inside = (one: string) => `<entryRelationship typeCode="REFR">${one}</entryRelationship>`
const product = `<participant typeCode="PRD"><participantRole>${t('4.37')}<id root="2.16.840.1.113883.3.3719" extension="(01)00848486001048(11)181015"/>
  <playingDevice><code code="50121007" ${sct}/></playingDevice></participantRole></participant>`
const full = document(
  section('10157-6', '<paragraph ID="r1">words</paragraph>', [
    `<organizer classCode="CLUSTER" moodCode="EVN">${t('4.45')}<subject><relatedSubject><code code="FTH" ${roleCode}/></relatedSubject></subject>
      <component>${observation('4.46', inside(observation('4.47', inside(observation('4.31')))))}</component></organizer>`,
  ]),
  section('29762-2', '', [observation('4.78'), observation('4.200'), observation('2.16.840.1.113883.10.20.34.3.45')]),
  section('47420-5', '<table><tr ID="q"><td>row</td></tr></table>', [observation('4.69', inside(observation('4.86')))]),
  section('48768-6', '', [
    `<act classCode="ACT" moodCode="EVN">${t('4.60')}${inside(`<act classCode="ACT" moodCode="EVN">${t('4.61')}<code code="12" ${sct}/>
      <performer><assignedEntity><code code="PAYOR"/><representedOrganization><name>P</name></representedOrganization></assignedEntity></performer></act>`)}</act>`,
  ]),
  section('42348-3', '', [
    `<organizer classCode="CLUSTER" moodCode="EVN">${t('4.108')}<component>${observation('4.48')}</component></organizer>`,
  ]),
  section('46264-8', '', [`<supply classCode="SPLY" moodCode="EVN">${t('4.50')}${product}</supply>`]),
  section('61146-7', '', [observation('4.121', inside(observation('4.143'))).replace('EVN', 'GOL')]),
  section('75310-3', '', [`<act classCode="ACT" moodCode="EVN">${t('4.132')}${inside(observation('4.4'))}</act>`]),
  section('62387-6', '', [`<act classCode="ACT" moodCode="INT">${t('4.131')}${inside(observation('4.44'))}</act>`]),
  section('85847-2', '', [
    `<organizer classCode="CLUSTER" moodCode="EVN">${t('4.500')}<component><act classCode="PCPR" moodCode="EVN">${t('4.500.1')}<performer>
      <assignedEntity><assignedPerson><name>M</name></assignedPerson></assignedEntity></performer></act></component></organizer>`,
  ]),
  section('34109-9', '', [
    `<act classCode="ACT" moodCode="EVN">${t('4.202')}<text mediaType="text/rtf" representation="B64">e1xydGYxIGF9</text></act>`,
  ]),
)

const elements = [...full.matchAll(/<(\w[\w:]*)(?:\s[^<>]*)?>/g)].map((match) => ({
  at: match.index,
  text: match[0],
  name: match[1] ?? '',
}))
const attributes = [...full.matchAll(/\s(?:root|code|moodCode|typeCode|value|extension)="[^"]*"/g)].map((match) => ({
  at: match.index,
  text: match[0],
}))

/** One change that leaves the document well-formed: an element renamed, an attribute gone, given another's value, or null. */
const change = fc.record({ which: fc.nat(), other: fc.nat(), how: fc.nat(3) })

function changed({ which, other, how }: { which: number; other: number; how: number }): string {
  if (how === 0) {
    const element = elements[which % elements.length]
    const name = elements[other % elements.length]?.name ?? 'act'
    if (element === undefined || element.text.endsWith('/>') || element.name === 'ClinicalDocument') return full
    return full.replaceAll(new RegExp(`(</?)${element.name}(?=[\\s>])`, 'g'), `$1${name}`)
  }
  const attribute = attributes[which % attributes.length]
  if (attribute === undefined) return full
  const value = attributes[other % attributes.length]?.text.split('"')[1] ?? ''
  const name = attribute.text.split('=')[0]
  const instead = how === 1 ? '' : how === 2 ? `${name}="${value}"` : ' nullFlavor="UNK"'
  return full.slice(0, attribute.at) + instead + full.slice(attribute.at + attribute.text.length)
}

describe('documents whose sections say other things than they should', () => {
  it('are read without a failure, every entry accounted for, no two items with one id', async () => {
    let items = 0
    await fc.assert(
      fc.asyncProperty(change, async (one) => {
        const [part] = (await readDocument(Buffer.from(changed(one)))).documents
        expect(part?.diagnostics.filter(({ detail }) => detail === 'the reader failed')).toEqual([])
        for (const outcome of part?.entries ?? [])
          if (outcome.kind === 'items') expect(outcome.items.length).toBeGreaterThan(0)
        const known = new Set(part?.items.map((item) => item.id))
        expect(known.size).toBe(part?.items.length)
        items += part?.items.length ?? 0
      }),
      { numRuns: 800 },
    )
    expect(items).toBeGreaterThan(8_000)
  })

  it('are of every kind to begin with', async () => {
    const [part] = (await readDocument(Buffer.from(full))).documents
    expect(part?.entries.map((one) => one.kind)).toEqual(Array.from({ length: 13 }, () => 'items'))
    expect([...new Set(part?.items.map((item) => item.content.type))].sort()).toEqual(
      'advance-directive care-team demographics device family-history functional-status goal insurance note problem procedure social-history'.split(
        ' ',
      ),
    )
  })
})
