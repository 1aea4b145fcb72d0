import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readWords } from '../../src/clinical/ccr/moments.js'
import { readDocument } from '../../src/clinical/read.js'
import type { RecordItem } from '../../src/direct/clinical.js'
import { ccr } from '../fixtures/clinical/documents.js'
import { line } from './brief.js'

const actors = `<Actors>
  <Actor><ActorObjectID>pat</ActorObjectID><Person><Name><CurrentName><Given>Jo</Given><Family>Sample</Family></CurrentName></Name><DateOfBirth><ExactDateTime>1948</ExactDateTime></DateOfBirth><Gender><Text>Female</Text></Gender></Person><IDs><Type><Text>Member</Text></Type><ID>M-1</ID><IssuedBy><ActorID>payer</ActorID></IssuedBy></IDs></Actor>
  <Actor><ActorObjectID>doc</ActorObjectID><Person><Name><CurrentName><Given>Pat</Given><Family>Specimen</Family></CurrentName></Name></Person><Specialty><Text>Cardiology</Text></Specialty><Telephone><Value>555-0101</Value></Telephone><InternalCCRLink><LinkID>clinic</LinkID></InternalCCRLink></Actor>
  <Actor><ActorObjectID>clinic</ActorObjectID><Organization><Name>Sample Clinic</Name></Organization></Actor>
  <Actor><ActorObjectID>payer</ActorObjectID><Organization><Name>Sample Mutual</Name></Organization></Actor>
  <Actor><ActorObjectID>dad</ActorObjectID><Person><Name><CurrentName><Given>Al</Given><Family>Sample</Family></CurrentName></Name></Person><Relation><Text>Father</Text></Relation></Actor>
</Actors>`

const described = (text: string, code = '', system = 'SNOMED CT') =>
  `<Description><Text>${text}</Text>${code && `<Code><Value>${code}</Value><CodingSystem>${system}</CodingSystem></Code>`}</Description>`
const typed = (text: string) => `<Type><Text>${text}</Text></Type>`
const status = (text: string) => `<Status><Text>${text}</Text></Status>`
const dated = (label: string, iso: string) =>
  `<DateTime>${label && typed(label)}<ExactDateTime>${iso}</ExactDateTime></DateTime>`
const from = '<Source><Actor><ActorID>doc</ActorID></Actor></Source>'

const read = async (body: string, footer = '') => {
  const text = `<ContinuityOfCareRecord xmlns="urn:astm-org:CCR"><Patient><ActorID>pat</ActorID></Patient><From><ActorLink><ActorID>clinic</ActorID></ActorLink></From><Body>${body}</Body>${actors}${footer}</ContinuityOfCareRecord>`
  const [part] = (await readDocument(Buffer.from(text))).documents
  if (part === undefined) throw new Error('no document')
  return { ...part, items: part.items.filter(({ content }) => content.type !== 'demographics'), patient: part.items[0] }
}
const only = async (body: string, footer = ''): Promise<RecordItem> => {
  const { items } = await read(body, footer)
  if (items.length !== 1 || items[0] === undefined) throw new Error(`${items.length} items`)
  return items[0]
}
const medication = (inner: string, product = '<Product><ProductName><Text>samplol</Text></ProductName></Product>') =>
  `<Medications><Medication>${product}${inner}</Medication></Medications>`

describe('directions of a medication', () => {
  const step = (dose: string, position: number, modifier = '') =>
    `<Direction><Dose><Value>${dose}</Value><Units><Unit>tablet</Unit></Units></Dose><Route><Text>PO</Text></Route><Frequency><Value>qd</Value></Frequency><Duration><Value>2</Value><Units><Unit>Days</Unit></Units></Duration><DirectionSequencePosition>${position}</DirectionSequencePosition>${modifier && `<MultipleDirectionModifier><Text>${modifier}</Text></MultipleDirectionModifier>`}</Direction>`

  it('that differ are no dose of the whole, but each its own, in their order', async () => {
    const { content } = await only(medication(`<Directions>${step('1', 2)}${step('2', 1, 'THEN')}</Directions>`))
    expect(content).not.toHaveProperty('dose')
    expect(content).toMatchObject({
      route: { text: 'PO' },
      timings: [{ text: 'qd' }],
      directions: [{ dose: { value: '2', unit: 'tablet' } }, { dose: { value: '1', unit: 'tablet' } }],
      instructions: '2 tablet PO qd for 2 Days THEN; 1 tablet PO qd for 2 Days',
    })
  })

  it.each([
    ['<Indication><PRNFlag><Text>Wheezing</Text></PRNFlag></Indication>', true, ['Wheezing']],
    ['<Indication><PRNFlag><Text>Yes</Text></PRNFlag></Indication>', true, undefined],
    ['<Indication><PRNFlag><Text>No</Text></PRNFlag></Indication>', false, undefined],
    ['<DoseIndicator><Text>PRN</Text></DoseIndicator>', true, undefined],
    ['<Frequency><Value>Q4h as needed</Value></Frequency>', true, undefined],
    ['<Frequency><Value>bid</Value></Frequency>', false, undefined],
  ])('%s', async (inner, asNeeded, needs) => {
    const { content } = await only(medication(`<Directions><Direction>${inner}</Direction></Directions>`))
    expect(content).toMatchObject({ asNeeded })
    expect('preconditions' in content ? content.preconditions?.map(({ text }) => text) : undefined).toEqual(needs)
  })

  it('keep strengths of a combination together, and doses that are no number as words', async () => {
    const strength = (value: string) => `<Strength><Value>${value}</Value><Units><Unit>mg</Unit></Units></Strength>`
    const { content } = await only(
      medication(
        '<Directions><Direction><Dose><Value>1-2</Value><Units><Unit>tablet</Unit></Units></Dose></Direction></Directions>',
        `<Product><ProductName><Text>samplol</Text></ProductName>${strength('10')}${strength('20')}</Product>`,
      ),
    )
    expect(content).not.toHaveProperty('strength')
    expect(content).toMatchObject({ strengths: [{ value: '10' }, { value: '20' }], instructions: 'Dose: 1-2 tablet' })
    expect(content).not.toHaveProperty('dose')
  })

  it('stand with prescription, fills and reasons that it links to', async () => {
    const { items } = await read(
      `<Problems><Problem><CCRDataObjectID>P1</CCRDataObjectID>${described('Headache', '25064002')}</Problem></Problems>${medication(
        `${dated('Date Prescribed', '2010-01-02')}<InternalCCRLink><LinkID>P1</LinkID></InternalCCRLink><FulfillmentHistory><Fulfillment>${dated('Dispensed', '2010-01-03')}<Provider><ActorID>clinic</ActorID></Provider><Quantity><Value>30</Value></Quantity></Fulfillment></FulfillmentHistory>`,
      )}`,
    )
    expect(items[1]).toMatchObject({
      content: {
        indications: [{ text: 'Headache' }],
        supplies: [
          { kind: 'order', when: { value: { text: '2010-01-02' } } },
          {
            kind: 'dispense',
            when: { value: { text: '2010-01-03' } },
            quantity: { value: '30' },
            by: { text: 'Sample Clinic' },
          },
        ],
      },
      references: [{ kind: 'REFR', identifiers: [{ value: 'P1' }] }],
    })
  })
})

describe('what is denied, refused, planned or no allergy', () => {
  const alert = (inner: string) => `<Alerts><Alert>${inner}</Alert></Alerts>`
  it.each([
    [alert(`${typed('Allergy')}${described('NKDA')}`), 'allergy | NKDA {} |  |  | negated'],
    [
      alert(`${typed('Alert')}${described('No Known Drug Allergies')}`),
      'allergy | No Known Drug Allergies {} |  |  | negated',
    ],
    [alert(`${typed('Allergy')}${described('Denies allergies')}`), 'allergy | Denies allergies {} |  |  | negated'],
    [alert(`${typed('Allergy')}${described('None known')}`), 'allergy | None known {} |  |  | negated'],
    [
      alert(`${typed('Drug allergy')}${described('Samplillin', '1', 'RxNorm')}`),
      'allergy | Samplillin {rxnorm|1} |  |  | ',
    ],
    [alert(`${typed('Interpreter needed')}${described('Speaks Samplish')}`), 'note | Interpreter needed {} |  |  | '],
    [
      `<Problems><Problem>${described('Denies chest pain', '29857009')}</Problem></Problems>`,
      'problem | Denies chest pain {sct|29857009} |  |  | negated',
    ],
    [
      `<Problems><Problem>${described('Pneumonia')}${status('Ruled Out')}</Problem></Problems>`,
      'problem | Pneumonia {} |  | resolved | negated',
    ],
    [
      `<Problems><Problem>${described('Pneumonia')}${status('Rule out')}</Problem></Problems>`,
      'problem | Pneumonia {} |  | unknown | ',
    ],
    [
      `<Problems><Problem>${described('Absence of kidney')}</Problem></Problems>`,
      'problem | Absence of kidney {} |  |  | ',
    ],
    [
      `<Immunizations><Immunization>${status('Refused')}<Product><ProductName><Text>MMR</Text></ProductName></Product></Immunization></Immunizations>`,
      'immunization | MMR {} |  | cancelled | negated',
    ],
    [
      `<Immunizations><Immunization>${dated('Due date', '2031-05')}${status('Scheduled')}<Product><ProductName><Text>MMR</Text></ProductName></Product></Immunization></Immunizations>`,
      'immunization | MMR {} | 2031-05 | planned | planned',
    ],
    [
      `<Encounters><Encounter>${dated('Appointment date', '2031-05-06')}${typed('Outpatient')}</Encounter></Encounters>`,
      'encounter | Outpatient {} | 2031-05-06 |  | planned',
    ],
    [
      `<PlanOfCare><Plan><OrderRequest>${status('Ordered')}${dated('Requested date', '2031')}<Procedures><Procedure>${described('X-ray')}${status('Completed')}</Procedure></Procedures></OrderRequest></Plan></PlanOfCare>`,
      'procedure | X-ray {} | 2031 | completed | ordered',
    ],
    [
      `<PlanOfCare><Plan><OrderRequest><Goals><Goal>${described('Walk daily')}</Goal></Goals></OrderRequest></Plan></PlanOfCare>`,
      'goal | Walk daily {} |  |  | goal',
    ],
  ])('%s', async (body, expected) => {
    expect(line(await only(body))).toBe(expected)
  })

  it('an alert against several agents is an allergy against each', async () => {
    const agent = (name: string) =>
      `<Product><Product><ProductName><Text>${name}</Text></ProductName></Product></Product>`
    const { items, entries } = await read(
      alert(`${typed('Allergy')}<Agent><Products>${agent('Samplillin')}${agent('Examplicin')}</Products></Agent>`),
    )
    expect(items.map(line)).toEqual(['allergy | Samplillin {} |  |  | ', 'allergy | Examplicin {} |  |  | '])
    expect(entries).toMatchObject([{ kind: 'items', items: items.map(({ id }) => id) }])
    expect(new Set(items.map(({ id }) => id)).size).toBe(2)
  })
})

describe('people and payers', () => {
  it('a relative is one item, however many objects tell of it', async () => {
    const told = (text: string, extra: string) =>
      `<FamilyProblemHistory>${from}<FamilyMember><ActorID>dad</ActorID><ActorRole><Text>Father</Text></ActorRole><HealthStatus>${described('Deceased')}${extra}</HealthStatus></FamilyMember><Problem>${described(text)}<Episodes><Episode><DateTime>${typed('Age at onset')}<Age><Value>57</Value><Units><Unit>Years</Unit></Units></Age></DateTime></Episode></Episodes></Problem></FamilyProblemHistory>`
    const { items, entries } = await read(
      `<FamilyHistory>${told('Stroke', '<CauseOfDeath>Yes</CauseOfDeath>')}${told('No diabetes', '<CauseOfDeath>No</CauseOfDeath>')}</FamilyHistory>`,
    )
    expect(items.map(({ content }) => content)).toMatchObject([
      {
        relation: { text: 'Father' },
        deceased: true,
        conditions: [
          {
            condition: { text: 'Stroke' },
            ageAtOnset: { value: '57', unit: 'Years' },
            causedDeath: true,
            negated: false,
          },
          { condition: { text: 'No diabetes' }, causedDeath: false, negated: true },
        ],
      },
    ])
    expect(entries.map(({ kind }) => kind)).toEqual(['items', 'merged'])
  })

  it('a coverage has its payer, the ids that this payer gave, and its rank', async () => {
    const payer = `<Payers><Payer><IDs>${typed('Group number')}<ID>G-1</ID></IDs><IDs>${typed('Policy')}<ID>N/A</ID></IDs>${typed('Primary Health Insurance')}${dated('Effective date', '2009')}${dated('Termination date', '2010')}<PaymentProvider><ActorID>payer</ActorID></PaymentProvider><Subscriber><ActorID>pat</ActorID><ActorRole><Text>Self</Text></ActorRole></Subscriber></Payer></Payers>`
    const item = await only(payer)
    expect(item.content).toMatchObject({
      payer: { kind: 'organization', text: 'Sample Mutual' },
      memberIdentifiers: [{ root: 'Sample Mutual', value: 'M-1' }],
      groupNumber: 'G-1',
      priority: '1',
      relationship: { text: 'Self' },
      subscriber: { text: 'Jo Sample' },
    })
    expect(line(item)).toBe('insurance | Primary Health Insurance {} | 2009..2010 |  | ')
  })

  it('sources are authors with role and organization, and relatives and the patient inform', async () => {
    const source = (id: string) => `<Source><Actor><ActorID>${id}</ActorID></Actor></Source>`
    const { provenance } = await only(
      `<Problems><Problem>${described('Cough')}${source('doc')}${source('pat')}${source('dad')}</Problem></Problems>`,
    )
    expect(provenance.authors).toMatchObject([
      { kind: 'person', text: 'Pat Specimen', organization: 'Sample Clinic', role: { text: 'Cardiology' } },
    ])
    expect(provenance.informants?.map(({ text }) => text)).toEqual(['Jo Sample', 'Al Sample'])
    const silent = await only(`<Problems><Problem>${described('Cough')}</Problem></Problems>`)
    expect(silent.provenance.authors).toMatchObject([{ kind: 'organization', text: 'Sample Clinic' }])
  })

  it('providers are a team and supporters another; guardians are contacts as well', async () => {
    const { items, patient, entries, diagnostics } = await read(
      '<Support><SupportProvider><ActorID>dad</ActorID><ActorRole><Text>Guardian</Text></ActorRole></SupportProvider></Support><HealthCareProviders><Provider><ActorID>doc</ActorID></Provider><Provider><ActorID>gone</ActorID></Provider></HealthCareProviders>',
    )
    expect(items.map(({ content }) => content)).toMatchObject([
      { kind: { text: 'Support' }, members: [{ agent: { text: 'Al Sample', role: { text: 'Guardian' } } }] },
      { members: [{ agent: { text: 'Pat Specimen', telecoms: [{ value: '555-0101' }] } }] },
    ])
    expect(patient?.content).toMatchObject({ contacts: [{ text: 'Al Sample' }] })
    expect(entries.map(({ kind }) => kind)).toEqual(['items', 'items', 'unmapped'])
    expect(diagnostics.map(({ code }) => code)).toContain('unresolved-reference')
  })

  it('religion and preferred language are the patient, occupation is not', async () => {
    const element = (type: string, text: string) =>
      `<SocialHistoryElement>${typed(type)}${described(text)}</SocialHistoryElement>`
    const { items, patient, entries } = await read(
      `<SocialHistory>${element('Religious Preference', 'None')}${element('Preferred Language', 'Samplish')}${element('Occupation', 'Baker')}</SocialHistory>`,
    )
    expect(patient?.content).toMatchObject({
      religion: { text: 'None' },
      preferredLanguage: 'Samplish',
      languages: ['Samplish'],
    })
    expect(items.map(({ content }) => content)).toMatchObject([
      { test: { text: 'Occupation' }, value: { text: 'Baker' } },
    ])
    expect(entries.map(({ kind }) => kind)).toEqual(['merged', 'merged', 'items'])
  })
})

describe('comments and references', () => {
  it('are notes on what they are upon, and notes of their own where that is nothing', async () => {
    const comment = (id: string, text: string) =>
      `<Comment><CommentObjectID>${id}</CommentObjectID>${described(text)}</Comment>`
    const { items } = await read(
      `<Problems><Problem>${described('Cough')}<CommentID>C1</CommentID><ReferenceID>R1</ReferenceID></Problem></Problems>`,
      `<References><Reference><ReferenceObjectID>R1</ReferenceObjectID>${described('Film')}<Locations><Location>${described('Archive')}</Location></Locations></Reference></References><Comments>${comment('C1', 'At night')}${comment('C2', 'Seen twice')}</Comments>`,
    )
    expect(items[0]?.notes).toEqual(['At night', 'Reference: Film, Archive'])
    expect(items[1]?.content).toMatchObject({ type: 'note', kind: { text: 'Comment' }, text: 'Seen twice' })
  })
})

describe('dates in words', () => {
  it.each([
    ['1995', '1995'],
    ['March 2004', '2004-03'],
    ['Sept. 2004', '2004-09'],
    ['5 Mar 2004', '2004-03-05'],
    ['March 5th, 2004', '2004-03-05'],
    ['05-MAR-2004', '2004-03-05'],
    ['01/15/2010', '2010-01-15'],
    ['15/01/2010', '2010-01-15'],
    ['5/5/2006', '2006-05-05'],
    ['06/2010', '2010-06'],
    ['2010/06/05', '2010-06-05'],
  ])('%s is %s', (source, text) => {
    expect(readWords(source)).toMatchObject({ text, source })
  })

  it.each([
    '01/02/2010',
    '5/5/06',
    'about 1995',
    '2 years ago',
    '02/30/2010',
    '31 Feb 2010',
    'early 2004',
    '13/13/2010',
  ])('%s stays words', (source) => {
    expect(readWords(source)).toBeUndefined()
  })

  it('labels say what a date is the date of', async () => {
    const problem = await only(
      `<Problems><Problem>${dated('Date of diagnosis', '2001')}${dated('Onset', '2000')}${dated('Date resolved', '2002-03')}${dated('Date recorded', '2003')}${described('Cough')}</Problem></Problems>`,
    )
    expect(line(problem)).toBe('problem | Cough {} | 2000..2002-03 |  | ')
    expect(problem).toMatchObject({ recordedAt: { text: '2003' }, content: { diagnosedAt: { text: '2001' } } })
  })
})

describe('a CCR that was tampered with', () => {
  const elements = [...ccr.matchAll(/<([A-Z]\w+)>(?:(?!<\1>)[\s\S])*?<\/\1>/g)].map(([text]) => text)
  it('never throws, and every object of its body still has one outcome', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(elements.length - 1), fc.nat(elements.length - 1), fc.nat(3), async (a, b, how) => {
        const one = elements[a] as string
        const replacement = ['', one + one, elements[b] as string, one.replace(/>[^<]+</g, '><')][how] as string
        const [part] = (await readDocument(Buffer.from(ccr.replace(one, () => replacement)))).documents
        expect(part?.diagnostics.map(({ detail }) => detail)).not.toContain('the reader failed')
        const told = part?.entries.map(({ entry }) => entry) ?? []
        expect(new Set(told).size).toBe(told.length)
        const ids = part?.items.map(({ id }) => id) ?? []
        expect(new Set(ids).size).toBe(ids.length)
        const named = part?.entries.flatMap((one) =>
          one.kind === 'items' ? one.items : one.kind === 'merged' ? [one.into] : [],
        )
        for (const id of named ?? []) expect(ids).toContain(id)
      }),
      { numRuns: 600 },
    )
  }, 30_000)
})

describe('a description that is nothing but one attribute', () => {
  const attribute =
    '<ObjectAttribute><Attribute>Diagnosis</Attribute><AttributeValue><Value>Diabetes</Value><Code><Value>73211009</Value><CodingSystem>SNOMED CT</CodingSystem></Code></AttributeValue></ObjectAttribute>'
  const coded = [{ system: 'http://snomed.info/sct', code: '73211009' }]

  it('is what the attribute says', async () => {
    const relative = `<FamilyHistory><FamilyProblemHistory><FamilyMember><ActorRole><Text>Mother</Text></ActorRole></FamilyMember><Problem>${typed('Diagnosis')}<Description>${attribute}</Description></Problem></FamilyProblemHistory></FamilyHistory>`
    expect((await only(relative)).content).toMatchObject({
      relation: { text: 'Mother' },
      conditions: [{ condition: { text: 'Diabetes', codings: coded } }],
    })
  })

  it('beside words only narrows them', async () => {
    const problem = `<Problems><Problem><Description><Text>Finding</Text>${attribute}</Description></Problem></Problems>`
    expect((await only(problem)).content).toMatchObject({ problem: { text: 'Finding', codings: [] } })
  })
})

describe('a CCR made to take long', () => {
  const many = (text: string, times = 20_000) => text.repeat(times)
  const test = `<Test>${described('x')}<TestResult><Value>1</Value></TestResult></Test>`
  it.each([
    [
      'dates of a result with many tests',
      `<Results><Result>${many(dated('Other date', '2001'))}${many(test)}</Result></Results>`,
    ],
    ['sources of a result with many tests', `<Results><Result>${many(from)}${many(test)}</Result></Results>`],
    [
      'relatives and problems',
      `<FamilyHistory><FamilyProblemHistory>${many('<FamilyMember><ActorID>dad</ActorID></FamilyMember>')}${many(`<Problem>${described('x')}</Problem>`)}</FamilyProblemHistory></FamilyHistory>`,
    ],
    [
      'codes',
      `<Problems><Problem><Description>${[...Array(40_000).keys()].map((at) => `<Code><Value>${at}</Value></Code>`).join('')}</Description>${'<Episodes>'}${many('<Episode><CCRDataObjectID>e</CCRDataObjectID></Episode>')}</Episodes></Problem></Problems>`,
    ],
    ['products', medication('', many('<Product><ProductName><Text>x</Text></ProductName></Product>'))],
  ])(
    '%s',
    async (_, body) => {
      const start = performance.now()
      const { diagnostics } = await read(body)
      expect(diagnostics.map(({ code }) => code)).toContain('limit-exceeded')
      expect(performance.now() - start).toBeLessThan(8000)
    },
    30_000,
  )
})
