import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { XMLBuilder } from 'fast-xml-parser'
import type { Coded, SamplePatient } from './patient.js'

type Element = { readonly [name: string]: unknown }

const builder = new XMLBuilder({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  format: true,
  suppressEmptyNode: true,
  // Else negationInd="true" would lose its value.
  suppressBooleanAttributes: false,
})

const loinc = '2.16.840.1.113883.6.1'

/** Template id of C-CDA with its release date, after the one without, as R2.1 asks for compatibility. */
function template(root: string, extension?: string): Element[] {
  const id = `2.16.840.1.113883.10.20.22.${root}`
  return extension === undefined ? [{ '@root': id }] : [{ '@root': id }, { '@root': id, '@extension': extension }]
}

function coded({ code, system, systemName, display }: Coded): Element {
  return { '@code': code, '@codeSystem': system, '@codeSystemName': systemName, '@displayName': display }
}

/** A coded value whose words stand in the narrative. */
function worded(concept: Coded, id: string): Element {
  return { ...coded(concept), originalText: { reference: { '@value': `#${id}` } } }
}

/** The same fact has the same id in every document that tells it. */
function idOf(patient: SamplePatient, what: string): Element {
  const hash = createHash('sha256').update(`${patient.medicalRecordNumber} ${what}`).digest('hex')
  const parts = [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `5${hash.slice(13, 16)}`,
    `8${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ]
  return { '@root': parts.join('-') }
}

/** ISO 8601 to an HL7 v3 point in time: digits, and the offset without its colon. */
function ts(iso: string): string {
  const [, date = '', time = '', zone = ''] = /^([\d-]+)(?:T([\d:]+)([+-]\d{2}:\d{2})?)?$/.exec(iso) ?? []
  return `${date.replaceAll('-', '')}${time.replaceAll(':', '')}${zone.replace(':', '')}`
}

const at = (iso: string): Element => ({ '@value': ts(iso) })
const since = (low: string, high?: string): Element => ({
  low: at(low),
  ...(high === undefined ? {} : { high: at(high) }),
})
const status = (code: string): Element => ({ '@code': code })

interface Section {
  readonly root: string
  readonly extension?: string
  readonly code: string
  readonly title: string
  readonly head: readonly string[]
  /** ID of the row, and its cells. */
  readonly rows: readonly (readonly [string, readonly string[]])[]
  readonly entries: readonly Element[]
}

/** A row of the narrative: its first cell holds the words that entries refer to. */
function row([id, cells]: Section['rows'][number]): Element {
  return {
    '@ID': `${id}-row`,
    td: cells.map((cell, i) => ({ content: i === 0 ? { '@ID': id, '#text': cell } : cell })),
  }
}

function section({ root, extension, code, title, head, rows, entries }: Section): Element {
  return {
    section: {
      templateId: template(root, extension),
      code: { '@code': code, '@codeSystem': loinc, '@codeSystemName': 'LOINC' },
      title,
      text: {
        table: {
          thead: { tr: { th: head } },
          tbody: { tr: rows.map(row) },
        },
      },
      entry: entries,
    },
  }
}

const concern = (root: string, id: Element, state: string, time: Element, observation: Element): Element => ({
  act: {
    '@classCode': 'ACT',
    '@moodCode': 'EVN',
    templateId: template(root, '2015-08-01'),
    id,
    code: { '@code': 'CONC', '@codeSystem': '2.16.840.1.113883.5.6' },
    statusCode: status(state),
    effectiveTime: time,
    entryRelationship: { '@typeCode': 'SUBJ', observation },
  },
})

const assertion: Element = { '@code': 'ASSERTION', '@codeSystem': '2.16.840.1.113883.5.4' }
const event: Element = { '@classCode': 'OBS', '@moodCode': 'EVN' }

function allergies(patient: SamplePatient): Element {
  return section({
    root: '2.6.1',
    extension: '2015-08-01',
    code: '48765-2',
    title: 'Allergies and adverse reactions',
    head: ['Substance', 'Reaction', 'Severity'],
    rows: patient.allergies.map((one, i) => [
      `allergy${i}`,
      [one.substance.display, one.reaction.display, one.severity.display],
    ]),
    entries: patient.allergies.map((one, i) =>
      concern('4.30', idOf(patient, `allergy concern ${i}`), 'active', since(patient.writtenAt), {
        ...event,
        templateId: template('4.7', '2014-06-09'),
        id: idOf(patient, `allergy ${i}`),
        code: assertion,
        statusCode: status('completed'),
        effectiveTime: since(one.onset),
        value: {
          '@xsi:type': 'CD',
          '@code': '416098002',
          '@codeSystem': '2.16.840.1.113883.6.96',
          '@displayName': 'Allergy to drug',
        },
        participant: {
          '@typeCode': 'CSM',
          participantRole: {
            '@classCode': 'MANU',
            playingEntity: { '@classCode': 'MMAT', code: worded(one.substance, `allergy${i}`) },
          },
        },
        entryRelationship: {
          '@typeCode': 'MFST',
          '@inversionInd': 'true',
          observation: {
            ...event,
            templateId: template('4.9', '2014-06-09'),
            id: idOf(patient, `reaction ${i}`),
            code: assertion,
            statusCode: status('completed'),
            value: { '@xsi:type': 'CD', ...coded(one.reaction) },
            entryRelationship: {
              '@typeCode': 'SUBJ',
              '@inversionInd': 'true',
              observation: {
                ...event,
                templateId: template('4.8', '2014-06-09'),
                code: { '@code': 'SEV', '@codeSystem': '2.16.840.1.113883.5.4' },
                statusCode: status('completed'),
                value: { '@xsi:type': 'CD', ...coded(one.severity) },
              },
            },
          },
        },
      }),
    ),
  })
}

function problems(patient: SamplePatient): Element {
  return section({
    root: '2.5.1',
    extension: '2015-08-01',
    code: '11450-4',
    title: 'Problems',
    head: ['Problem', 'Since', 'Until'],
    rows: patient.problems.map((one, i) => [`problem${i}`, [one.problem.display, one.onset, one.resolved ?? '']]),
    entries: patient.problems.map((one, i) =>
      concern(
        '4.3',
        idOf(patient, `concern ${i}`),
        one.resolved ? 'completed' : 'active',
        since(one.onset, one.resolved),
        {
          ...event,
          templateId: template('4.4', '2015-08-01'),
          id: idOf(patient, `problem ${i}`),
          code: { '@code': '55607006', '@codeSystem': '2.16.840.1.113883.6.96', '@displayName': 'Problem' },
          statusCode: status('completed'),
          effectiveTime: since(one.onset, one.resolved),
          value: { '@xsi:type': 'CD', ...worded(one.problem, `problem${i}`) },
        },
      ),
    ),
  })
}

function medications(patient: SamplePatient): Element {
  return section({
    root: '2.1.1',
    extension: '2014-06-09',
    code: '10160-0',
    title: 'Medications',
    head: ['Medication', 'Directions'],
    rows: patient.medications.map((one, i) => [`medication${i}`, [one.product.display, one.sig]]),
    entries: patient.medications.map((one, i) => ({
      substanceAdministration: {
        '@classCode': 'SBADM',
        '@moodCode': 'EVN',
        templateId: template('4.16', '2014-06-09'),
        id: idOf(patient, `medication ${i}`),
        text: { reference: { '@value': `#medication${i}-row` } },
        statusCode: status('active'),
        effectiveTime: [
          { '@xsi:type': 'IVL_TS', ...since(one.started) },
          {
            '@xsi:type': 'PIVL_TS',
            '@institutionSpecified': 'true',
            '@operator': 'A',
            period: { '@value': one.everyHours, '@unit': 'h' },
          },
        ],
        routeCode: { '@code': 'C38288', '@codeSystem': '2.16.840.1.113883.3.26.1.1', '@displayName': 'Oral' },
        doseQuantity: { '@value': one.dose },
        consumable: {
          manufacturedProduct: {
            '@classCode': 'MANU',
            templateId: template('4.23', '2014-06-09'),
            manufacturedMaterial: { code: coded(one.product) },
          },
        },
      },
    })),
  })
}

function immunizations(patient: SamplePatient): Element {
  return section({
    root: '2.2.1',
    extension: '2015-08-01',
    code: '11369-6',
    title: 'Immunizations',
    head: ['Vaccine', 'Date', 'Remark'],
    rows: patient.immunizations.map((one, i) => [
      `immunization${i}`,
      [one.vaccine.display, one.given, one.refused ? 'refused by the patient' : ''],
    ]),
    entries: patient.immunizations.map((one, i) => ({
      substanceAdministration: {
        '@classCode': 'SBADM',
        '@moodCode': 'EVN',
        '@negationInd': String(one.refused === true),
        templateId: template('4.52', '2015-08-01'),
        id: idOf(patient, `immunization ${i}`),
        statusCode: status('completed'),
        effectiveTime: at(one.given),
        consumable: {
          manufacturedProduct: {
            '@classCode': 'MANU',
            templateId: template('4.54', '2014-06-09'),
            manufacturedMaterial: { code: worded(one.vaccine, `immunization${i}`) },
          },
        },
        ...(one.refused
          ? {
              entryRelationship: {
                '@typeCode': 'RSON',
                observation: {
                  ...event,
                  templateId: template('4.53'),
                  id: idOf(patient, `refusal ${i}`),
                  code: {
                    '@code': 'PATOBJ',
                    '@codeSystem': '2.16.840.1.113883.5.8',
                    '@displayName': 'Patient objection',
                  },
                  statusCode: status('completed'),
                },
              },
            }
          : {}),
      },
    })),
  })
}

interface Battery {
  readonly root: '2.3.1' | '2.4.1'
  readonly code: string
  readonly title: string
  readonly panel: Element
  readonly time: string
  readonly tests: readonly {
    readonly test: Coded
    readonly value: string
    readonly unit: string
    readonly low?: string
    readonly high?: string
  }[]
}

function battery(patient: SamplePatient, { root, code, title, panel, time, tests }: Battery): Element {
  const [organizer, observation, prefix] = root === '2.3.1' ? ['4.1', '4.2', 'result'] : ['4.26', '4.27', 'vital']
  return section({
    root,
    extension: '2015-08-01',
    code,
    title,
    head: ['Test', 'Value', 'Reference'],
    rows: tests.map((one, i) => [
      `${prefix}${i}`,
      [one.test.display, `${one.value} ${one.unit}`, one.low === undefined ? '' : `${one.low} to ${one.high}`],
    ]),
    entries: [
      {
        organizer: {
          '@classCode': root === '2.3.1' ? 'BATTERY' : 'CLUSTER',
          '@moodCode': 'EVN',
          templateId: template(organizer, '2015-08-01'),
          id: idOf(patient, `${prefix} panel`),
          code: panel,
          statusCode: status('completed'),
          effectiveTime: root === '2.3.1' ? { low: at(time), high: at(time) } : at(time),
          component: tests.map((one, i) => ({
            observation: {
              ...event,
              templateId: template(observation, root === '2.3.1' ? '2015-08-01' : '2014-06-09'),
              id: idOf(patient, `${prefix} ${i}`),
              code: worded(one.test, `${prefix}${i}`),
              statusCode: status('completed'),
              effectiveTime: at(time),
              value: { '@xsi:type': 'PQ', '@value': one.value, '@unit': one.unit },
              ...(one.low === undefined
                ? {}
                : {
                    referenceRange: {
                      observationRange: {
                        value: {
                          '@xsi:type': 'IVL_PQ',
                          low: { '@value': one.low, '@unit': one.unit },
                          high: { '@value': one.high, '@unit': one.unit },
                        },
                      },
                    },
                  }),
            },
          })),
        },
      },
    ],
  })
}

function procedures(patient: SamplePatient): Element {
  return section({
    root: '2.7.1',
    extension: '2014-06-09',
    code: '47519-4',
    title: 'Procedures',
    head: ['Procedure', 'Date'],
    rows: patient.procedures.map((one, i) => [`procedure${i}`, [one.procedure.display, one.done]]),
    entries: patient.procedures.map((one, i) => ({
      procedure: {
        '@classCode': 'PROC',
        '@moodCode': 'EVN',
        templateId: template('4.14', '2014-06-09'),
        id: idOf(patient, `procedure ${i}`),
        code: worded(one.procedure, `procedure${i}`),
        statusCode: status('completed'),
        effectiveTime: at(one.done),
      },
    })),
  })
}

function encounters(patient: SamplePatient): Element {
  return section({
    root: '2.22.1',
    extension: '2015-08-01',
    code: '46240-8',
    title: 'Encounters',
    head: ['Encounter', 'Date', 'Place'],
    rows: patient.encounters.map((one, i) => [
      `encounter${i}`,
      [one.encounter.display, one.at.slice(0, 10), one.place],
    ]),
    entries: patient.encounters.map((one, i) => ({
      encounter: {
        '@classCode': 'ENC',
        '@moodCode': 'EVN',
        templateId: template('4.49', '2015-08-01'),
        id: idOf(patient, `encounter ${i}`),
        code: worded(one.encounter, `encounter${i}`),
        effectiveTime: at(one.at),
        participant: {
          '@typeCode': 'LOC',
          participantRole: {
            '@classCode': 'SDLOC',
            templateId: template('4.32'),
            playingEntity: { '@classCode': 'PLC', name: one.place },
          },
        },
      },
    })),
  })
}

function plan(patient: SamplePatient): Element {
  return section({
    root: '2.10',
    extension: '2014-06-09',
    code: '18776-5',
    title: 'Plan of treatment',
    head: ['Planned', 'Date'],
    rows: patient.planned.map((one, i) => [`plan${i}`, [one.procedure.display, one.at]]),
    entries: patient.planned.map((one, i) => ({
      procedure: {
        '@classCode': 'PROC',
        '@moodCode': 'RQO',
        templateId: template('4.41', '2014-06-09'),
        id: idOf(patient, `plan ${i}`),
        code: worded(one.procedure, `plan${i}`),
        statusCode: status('active'),
        effectiveTime: at(one.at),
      },
    })),
  })
}

function header(patient: SamplePatient): Element {
  const { author } = patient
  const organization = { id: { '@root': '2.16.840.1.113883.19.5' }, name: author.practice }
  const address = {
    '@use': 'WP',
    streetAddressLine: '1 Example Road',
    city: 'Sampleton',
    state: 'OR',
    postalCode: '97000',
    country: 'US',
  }
  const telecom = { '@use': 'WP', '@value': 'tel:+1(555)555-0100' }
  return {
    realmCode: { '@code': 'US' },
    typeId: { '@root': '2.16.840.1.113883.1.3', '@extension': 'POCD_HD000040' },
    templateId: [...template('1.1', '2015-08-01'), ...template('1.2', '2015-08-01')],
    id: idOf(patient, `document ${patient.writtenAt}`),
    code: { '@code': '34133-9', '@codeSystem': loinc, '@displayName': 'Summarization of Episode Note' },
    title: 'Visit summary',
    effectiveTime: at(patient.writtenAt),
    confidentialityCode: { '@code': 'N', '@codeSystem': '2.16.840.1.113883.5.25' },
    languageCode: { '@code': 'en-US' },
    recordTarget: {
      patientRole: {
        id: { '@root': '2.16.840.1.113883.19.5.99999.2', '@extension': patient.medicalRecordNumber },
        addr: { ...address, '@use': 'HP' },
        telecom: { ...telecom, '@use': 'HP' },
        patient: {
          name: { '@use': 'L', given: patient.given, family: patient.family },
          administrativeGenderCode: { '@code': patient.gender, '@codeSystem': '2.16.840.1.113883.5.1' },
          birthTime: at(patient.birthDate),
          raceCode: { '@nullFlavor': 'UNK' },
          ethnicGroupCode: { '@nullFlavor': 'UNK' },
        },
      },
    },
    author: {
      time: at(patient.writtenAt),
      assignedAuthor: {
        id: { '@root': '2.16.840.1.113883.4.6', '@extension': '9999999999' },
        addr: address,
        telecom,
        assignedPerson: { name: { given: author.given, family: author.family } },
        representedOrganization: organization,
      },
    },
    custodian: { assignedCustodian: { representedCustodianOrganization: { ...organization, telecom, addr: address } } },
  }
}

/** A Continuity of Care Document, C-CDA R2.1, of the patient; every coded statement refers to its narrative. */
export function buildCcda(patient: SamplePatient): Buffer {
  const sections = [
    allergies(patient),
    problems(patient),
    medications(patient),
    immunizations(patient),
    battery(patient, {
      root: '2.3.1',
      code: '30954-2',
      title: 'Results',
      panel: { '@code': '51990-0', '@codeSystem': loinc, '@displayName': 'Blood tests' },
      time: patient.resultsAt,
      tests: patient.results,
    }),
    battery(patient, {
      root: '2.4.1',
      code: '8716-3',
      title: 'Vital signs',
      panel: {
        '@code': '46680005',
        '@codeSystem': '2.16.840.1.113883.6.96',
        '@displayName': 'Vital signs',
        translation: { '@code': '74728-7', '@codeSystem': loinc },
      },
      time: patient.vitalsAt,
      tests: patient.vitals,
    }),
    procedures(patient),
    encounters(patient),
    plan(patient),
  ]
  const document = {
    '?xml': { '@version': '1.0', '@encoding': 'UTF-8' },
    ClinicalDocument: {
      '@xmlns': 'urn:hl7-org:v3',
      '@xmlns:xsi': 'http://www.w3.org/2001/XMLSchema-instance',
      '@xmlns:sdtc': 'urn:hl7-org:sdtc',
      ...header(patient),
      component: { structuredBody: { component: sections } },
    },
  }
  return Buffer.from(builder.build(document), 'utf8')
}
