import { Buffer } from 'node:buffer'
import { type ReadPart, readDocument } from '../../src/clinical/read.js'
import type { ItemContent, RecordItem } from '../../src/direct/clinical.js'

/** Builds small documents about nobody, a section or two each, for the readers of single sections. */

export const sct = 'codeSystem="2.16.840.1.113883.6.96"'
export const loinc = 'codeSystem="2.16.840.1.113883.6.1"'
export const roleCode = 'codeSystem="2.16.840.1.113883.5.111"'

/** A templateId of C-CDA, `4.45` for 2.16.840.1.113883.10.20.22.4.45; a longer root stands as it is. */
export const t = (root: string): string =>
  `<templateId root="${root.split('.').length > 4 ? root : `2.16.840.1.113883.10.20.22.${root}`}"/>`

export const cd = (code: string, display: string, system = sct): string =>
  `xsi:type="CD" code="${code}" ${system} displayName="${display}"`

/** A section by LOINC code with its narrative and the statements of its entries. */
export const section = (code: string, text: string, entries: readonly string[] = [], more = ''): string =>
  `<component><section><code code="${code}" ${loinc} displayName="Section ${code}"/><title>Title ${code}</title>
    <text>${text}</text>${entries.map((one) => `<entry>${one}</entry>`).join('')}${more}</section></component>`

export const document = (...sections: readonly string[]): string => `<?xml version="1.0"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sdtc="urn:hl7-org:sdtc">
  <id root="1.2.3.4" extension="d"/>
  <recordTarget><patientRole><id root="1.2.3.4" extension="p"/><patient><name><given>Sam</given><family>Sample</family></name>
    <administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/><birthTime value="19700101"/></patient></patientRole></recordTarget>
  <component><structuredBody>${sections.join('')}</structuredBody></component>
</ClinicalDocument>`

export async function read(...sections: readonly string[]): Promise<ReadPart> {
  const [part] = (await readDocument(Buffer.from(document(...sections)))).documents
  if (part === undefined) throw new Error('no document')
  return part
}

type Narrowed<C, T> = C extends { readonly type: string } ? (T extends C['type'] ? C : never) : never
type Of<T extends string> = Narrowed<ItemContent, T>

/** The items of one type, with their contents known for that type. */
export function of<T extends ItemContent['type']>(
  { items }: ReadPart,
  type: T,
): (RecordItem & { readonly content: Of<T> })[] {
  return items.filter((item): item is RecordItem & { readonly content: Of<T> } => item.content.type === type)
}

/** The codes of everything that a value holds, in order. */
export function codesIn(value: unknown): string[] {
  if (value === null || typeof value !== 'object') return []
  const own = 'code' in value && typeof value.code === 'string' ? [value.code] : []
  return [...own, ...Object.values(value).flatMap(codesIn)]
}
