import { XMLParser } from 'fast-xml-parser'

/**
 * Rules of C-CDA R2.1 (CDA R2 with the templates of August 2015), written from the guide and applied to another parser's
 * tree than our readers use. Each answers what is wrong, with the place.
 */
export interface Node {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly Node[]
  readonly text: string
  readonly parent: Node | undefined
}

/** The tree of a document, by fast-xml-parser. */
export function treeOf(xml: string): Node {
  const parser = new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: '',
    parseTagValue: false,
    parseAttributeValue: false,
    trimValues: false,
    ignoreDeclaration: true,
    ignorePiTags: true,
    processEntities: true,
    htmlEntities: true,
  })
  const build = (raw: Record<string, unknown>, parent: Node | undefined): Node | undefined => {
    const name = Object.keys(raw).find((key) => key !== ':@' && key !== '#text')
    if (name === undefined) return undefined
    const inner = raw[name] as Record<string, unknown>[]
    const children: Node[] = []
    const text = inner.map((one) => ('#text' in one ? String(one['#text']) : '')).join('')
    const node: Node = {
      name: name.replace(/^(cda|hl7):/, ''),
      attributes: (raw[':@'] ?? {}) as Record<string, string>,
      children,
      text,
      parent,
    }
    for (const one of inner) {
      const child = build(one, node)
      if (child) children.push(child)
    }
    return node
  }
  const roots = (parser.parse(xml) as Record<string, unknown>[]).map((one) => build(one, undefined))
  const root = roots.find((one) => one !== undefined)
  if (root === undefined) throw new Error('no root')
  return root
}

function all(node: Node): Node[] {
  return [node, ...node.children.flatMap(all)]
}

function kids(node: Node | undefined, name: string): Node[] {
  return node?.children.filter((one) => one.name === name) ?? []
}

function at(node: Node | undefined, ...path: readonly string[]): Node | undefined {
  let here = node
  for (const name of path) here = kids(here, name)[0]
  return here
}

function has(node: Node, root: string): boolean {
  return kids(node, 'templateId').some((one) => one.attributes['root'] === root)
}

const base = '2.16.840.1.113883.10.20'

/** What a template wants: child elements by name with their least and greatest count, and codes that are fixed. */
interface Rule {
  readonly template: string
  readonly element: string
  readonly extension?: string
  readonly need?: Readonly<Record<string, readonly [number, number]>>
  readonly code?: string
  readonly mood?: string | readonly string[]
  readonly also?: (node: Node) => string | undefined
}

const one: readonly [number, number] = [1, 1]
const some: readonly [number, number] = [1, 999]

function related(node: Node, template: string): Node[] {
  return kids(node, 'entryRelationship').flatMap(({ children }) => children.filter((inner) => has(inner, template)))
}

const rules: readonly Rule[] = [
  {
    template: '22.4.30',
    element: 'act',
    extension: '2015-08-01',
    mood: 'EVN',
    code: 'CONC',
    need: { id: some, code: one, statusCode: one, effectiveTime: one },
    also: (node) =>
      related(node, `${base}.22.4.7`).length === 0
        ? 'no allergy observation'
        : at(node, 'effectiveTime', 'low')
          ? undefined
          : 'no low of the concern',
  },
  {
    template: '22.4.7',
    element: 'observation',
    extension: '2014-06-09',
    mood: 'EVN',
    code: 'ASSERTION',
    need: { id: some, code: one, statusCode: one, effectiveTime: one, value: one, participant: some },
    also: (node) =>
      kids(node, 'participant').some(
        (part) => part.attributes['typeCode'] === 'CSM' && at(part, 'participantRole', 'playingEntity', 'code'),
      )
        ? undefined
        : 'no substance',
  },
  {
    template: '22.4.3',
    element: 'act',
    extension: '2015-08-01',
    mood: 'EVN',
    code: 'CONC',
    need: { id: some, code: one, statusCode: one, effectiveTime: one },
    also: (node) => (related(node, `${base}.22.4.4`).length === 0 ? 'no problem observation' : undefined),
  },
  {
    template: '22.4.4',
    element: 'observation',
    extension: '2015-08-01',
    mood: 'EVN',
    need: { id: some, code: one, statusCode: one, effectiveTime: one, value: one },
    also: (node) => (at(node, 'effectiveTime', 'low') ? undefined : 'no low of the problem'),
  },
  {
    template: '22.4.16',
    element: 'substanceAdministration',
    extension: '2014-06-09',
    mood: ['EVN', 'INT', 'RQO', 'PRMS', 'PRP'],
    need: { id: some, statusCode: one, effectiveTime: some, consumable: one },
  },
  {
    template: '22.4.42',
    element: 'substanceAdministration',
    extension: '2014-06-09',
    mood: ['INT', 'RQO', 'PRMS', 'PRP'],
    need: { id: some, statusCode: one, effectiveTime: some, consumable: one },
  },
  { template: '22.4.23', element: 'manufacturedProduct', extension: '2014-06-09', need: { manufacturedMaterial: one } },
  {
    template: '22.4.52',
    element: 'substanceAdministration',
    extension: '2015-08-01',
    mood: 'EVN',
    need: { id: some, statusCode: one, effectiveTime: one, consumable: one },
  },
  {
    template: '22.4.120',
    element: 'substanceAdministration',
    mood: ['INT', 'RQO', 'PRMS', 'PRP'],
    need: { id: some, statusCode: one, consumable: one },
  },
  {
    template: '22.4.1',
    element: 'organizer',
    extension: '2015-08-01',
    mood: 'EVN',
    need: { id: some, code: one, statusCode: one, component: some },
  },
  {
    template: '22.4.2',
    element: 'observation',
    extension: '2015-08-01',
    mood: 'EVN',
    need: { id: some, code: one, statusCode: one, effectiveTime: one, value: some },
  },
  {
    template: '22.4.26',
    element: 'organizer',
    extension: '2015-08-01',
    mood: 'EVN',
    code: '46680005',
    need: { id: some, code: one, statusCode: one, effectiveTime: one, component: some },
  },
  {
    template: '22.4.27',
    element: 'observation',
    extension: '2014-06-09',
    mood: 'EVN',
    need: { id: some, code: one, statusCode: one, effectiveTime: one, value: one },
  },
  {
    template: '22.4.14',
    element: 'procedure',
    extension: '2014-06-09',
    mood: 'EVN',
    need: { id: some, code: one, statusCode: one },
  },
  {
    template: '22.4.12',
    element: 'act',
    extension: '2014-06-09',
    mood: 'EVN',
    need: { id: some, code: one, statusCode: one },
  },
  {
    template: '22.4.13',
    element: 'observation',
    extension: '2014-06-09',
    mood: 'EVN',
    need: { id: some, code: one, statusCode: one, value: some },
  },
  {
    template: '22.4.41',
    element: 'procedure',
    extension: '2014-06-09',
    mood: ['INT', 'RQO', 'PRMS', 'PRP', 'ARQ', 'APT'],
    need: { id: some, code: one, statusCode: one },
  },
  {
    template: '22.4.49',
    element: 'encounter',
    extension: '2015-08-01',
    mood: 'EVN',
    need: { id: some, code: one, effectiveTime: one },
  },
  {
    template: '22.4.45',
    element: 'organizer',
    extension: '2015-08-01',
    mood: 'EVN',
    need: { statusCode: one, subject: one },
    also: (node) => (at(node, 'subject', 'relatedSubject', 'code') ? undefined : 'no relation'),
  },
  {
    template: '22.4.46',
    element: 'observation',
    extension: '2015-08-01',
    mood: 'EVN',
    need: { id: some, code: one, statusCode: one, value: one },
  },
  {
    template: '22.4.38',
    element: 'observation',
    extension: '2015-08-01',
    mood: 'EVN',
    need: { id: some, code: one, statusCode: one, effectiveTime: one },
  },
  {
    template: '22.4.78',
    element: 'observation',
    extension: '2014-06-09',
    mood: 'EVN',
    code: '72166-2',
    need: { id: some, code: one, statusCode: one, effectiveTime: one, value: one },
  },
  {
    template: '22.4.48',
    element: 'observation',
    extension: '2015-08-01',
    mood: 'EVN',
    need: { id: some, code: one, statusCode: one, effectiveTime: one, value: one },
  },
  {
    template: '22.4.60',
    element: 'act',
    extension: '2015-08-01',
    mood: 'EVN',
    code: '48768-6',
    need: { id: some, code: one, statusCode: one, entryRelationship: some },
  },
  { template: '22.4.50', element: 'supply', extension: '2014-06-09', need: { id: some, statusCode: one } },
  { template: '22.4.121', element: 'observation', mood: 'GOL', need: { id: some, code: one, statusCode: one } },
  {
    template: '22.4.202',
    element: 'act',
    extension: '2016-11-01',
    mood: 'EVN',
    code: '34109-9',
    need: { code: one, text: one, statusCode: one, effectiveTime: one, author: some },
  },
  {
    template: '22.4.500',
    element: 'organizer',
    extension: '2019-07-01',
    mood: 'EVN',
    code: '86744-0',
    need: { id: some, code: one, statusCode: one },
  },
]

/** Sections that a CCD must have, and the element of an entry that each must hold unless it says why not. */
const required: Readonly<Record<string, readonly [string, string]>> = {
  '48765-2': ['22.2.6.1', '2015-08-01'],
  '10160-0': ['22.2.1.1', '2014-06-09'],
  '11450-4': ['22.2.5.1', '2015-08-01'],
  '30954-2': ['22.2.3.1', '2015-08-01'],
  '29762-2': ['22.2.17', '2015-08-01'],
  '8716-3': ['22.2.4.1', '2015-08-01'],
}

function extensionsOf(node: Node, template: string): (string | undefined)[] {
  return kids(node, 'templateId')
    .filter(({ attributes }) => attributes['root'] === `${base}.${template}`)
    .map(({ attributes }) => attributes['extension'])
}

function brokenRule(node: Node, rule: Rule): string | undefined {
  if (node.name !== rule.element) return `is a ${node.name}, not a ${rule.element}`
  for (const [name, [least, most]] of Object.entries(rule.need ?? {})) {
    const count = kids(node, name).length
    if (count < least || count > most) return `${count} of ${name}`
  }
  const mood = node.attributes['moodCode'] ?? ''
  if (rule.mood !== undefined && ![rule.mood].flat().includes(mood)) return `moodCode ${mood}`
  const code = at(node, 'code')?.attributes['code']
  // Earlier versions of a template fixed other codes.
  const versioned = rule.extension === undefined || extensionsOf(node, rule.template).includes(rule.extension)
  if (versioned && rule.code !== undefined && code !== rule.code) return `code ${code}`
  return rule.also?.(node)
}

/** Where the templates of one element order what the schema of CDA orders; enough to catch one out of place. */
const order = [
  'realmCode',
  'typeId',
  'templateId',
  'id',
  'code',
  'title',
  'text',
  'statusCode',
  'effectiveTime',
  'confidentialityCode',
  'priorityCode',
  'languageCode',
  'repeatNumber',
]

/** Whether a document says that it is a Continuity of Care Document of R2.1: the rules of header and sections are of one. */
export function isCcd(root: Node): boolean {
  return extensionsOf(root, '22.1.2').includes('2015-08-01')
}

/**
 * All that is wrong with a document; an empty list where nothing is. `versions` wants the extensions of R2.1 too, of all
 * templates; `document` the header and the sections of a CCD.
 */
export function ccdaFaults(root: Node, { versions = true, document = true } = {}): string[] {
  const faults: string[] = []
  const nodes = all(root)
  const ids = new Map<string, number>()
  for (const node of nodes) {
    const id = node.attributes['ID']
    if (id !== undefined) ids.set(id, (ids.get(id) ?? 0) + 1)
  }
  for (const [id, count] of ids) if (count > 1) faults.push(`ID ${id} stands ${count} times`)
  for (const node of nodes) {
    const target = node.name === 'reference' ? node.attributes['value'] : undefined
    if (target?.startsWith('#') && !ids.has(target.slice(1))) faults.push(`nothing has the ID ${target}`)
    for (const rule of rules) {
      if (!has(node, `${base}.${rule.template}`)) continue
      const broken = brokenRule(node, rule)
      if (broken !== undefined) faults.push(`${rule.template}: ${broken}`)
      const extensions = extensionsOf(node, rule.template)
      if (versions && rule.extension !== undefined && !extensions.includes(rule.extension))
        faults.push(`${rule.template}: no extension ${rule.extension}`)
    }
    const places = node.children.map(({ name }) => order.indexOf(name)).filter((place) => place >= 0)
    const statement = [
      'act',
      'observation',
      'procedure',
      'substanceAdministration',
      'supply',
      'encounter',
      'organizer',
      'section',
    ].includes(node.name)
    if (
      statement &&
      node.children.some(({ name }) => name === 'templateId') &&
      places.some((place, index) => index > 0 && place < (places[index - 1] ?? 0))
    ) {
      faults.push(`${node.name}: elements out of order`)
    }
    if (node.name === 'value' && node.parent?.name === 'observation' && node.attributes['xsi:type'] === undefined)
      faults.push('a value without xsi:type')
  }
  if (document) faults.push(...headerFaults(root), ...sectionFaults(nodes))
  return faults
}

function headerFaults(root: Node): string[] {
  const faults: string[] = []
  const want = (holds: boolean, what: string): void => {
    if (!holds) faults.push(`header: ${what}`)
  }
  for (const name of [
    'realmCode',
    'typeId',
    'id',
    'code',
    'title',
    'effectiveTime',
    'confidentialityCode',
    'languageCode',
    'custodian',
    'component',
  ]) {
    want(kids(root, name).length === 1, `one ${name}`)
  }
  for (const name of ['recordTarget', 'author', 'documentationOf']) want(kids(root, name).length >= 1, `a ${name}`)
  want(has(root, `${base}.22.1.1`) && has(root, `${base}.22.1.2`), 'the templates of header and CCD')
  const role = at(root, 'recordTarget', 'patientRole')
  for (const name of ['id', 'addr', 'telecom', 'patient']) want(kids(role, name).length >= 1, `patient ${name}`)
  for (const name of ['name', 'administrativeGenderCode', 'birthTime', 'raceCode', 'ethnicGroupCode'])
    want(kids(at(role, 'patient'), name).length >= 1, `patient ${name}`)
  const custodian = at(root, 'custodian', 'assignedCustodian', 'representedCustodianOrganization')
  for (const name of ['id', 'name', 'telecom', 'addr']) want(kids(custodian, name).length >= 1, `custodian ${name}`)
  const event = at(root, 'documentationOf', 'serviceEvent')
  want(
    event?.attributes['classCode'] === 'PCPR' &&
      at(event, 'effectiveTime', 'low') !== undefined &&
      at(event, 'effectiveTime', 'high') !== undefined,
    'the time of care',
  )
  return faults
}

function sectionFaults(nodes: readonly Node[]): string[] {
  const faults: string[] = []
  const sections = nodes.filter(({ name }) => name === 'section')
  for (const [code, [template, extension]] of Object.entries(required)) {
    const section = sections.find((one) => at(one, 'code')?.attributes['code'] === code)
    if (section === undefined) faults.push(`no section ${code}`)
    else if (
      !kids(section, 'templateId').some(
        ({ attributes }) => attributes['root'] === `${base}.${template}` && attributes['extension'] === extension,
      )
    ) {
      faults.push(`section ${code}: no template ${template}:${extension}`)
    }
  }
  for (const section of sections.filter((one) => kids(one, 'templateId').length > 0)) {
    const code = at(section, 'code')?.attributes['code'] ?? ''
    for (const name of ['code', 'title', 'text'])
      if (kids(section, name).length !== 1) faults.push(`section ${code}: ${kids(section, name).length} of ${name}`)
    const empty = kids(section, 'entry').length === 0
    if (required[code] && empty && section.attributes['nullFlavor'] === undefined)
      faults.push(`section ${code}: neither entries nor nullFlavor`)
  }
  return faults
}
