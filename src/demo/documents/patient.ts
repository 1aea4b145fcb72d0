/** A coded thing: code, OID of its system, the system's name, and the words for it. */
export interface Coded {
  readonly code: string
  readonly system: string
  readonly systemName: string
  readonly display: string
}

/** An invented patient, as plain facts that both document builders write down. Dates are ISO 8601. */
export interface SamplePatient {
  readonly given: string
  readonly family: string
  readonly birthDate: string
  readonly gender: 'F' | 'M'
  readonly medicalRecordNumber: string
  readonly author: { readonly given: string; readonly family: string; readonly practice: string }
  readonly writtenAt: string
  readonly allergies: readonly {
    readonly substance: Coded
    readonly reaction: Coded
    readonly severity: Coded
    readonly onset: string
  }[]
  readonly problems: readonly { readonly problem: Coded; readonly onset: string; readonly resolved?: string }[]
  readonly medications: readonly {
    readonly product: Coded
    readonly started: string
    readonly everyHours: string
    readonly dose: string
    readonly sig: string
  }[]
  readonly immunizations: readonly { readonly vaccine: Coded; readonly given: string; readonly refused?: boolean }[]
  readonly results: readonly {
    readonly test: Coded
    readonly value: string
    readonly unit: string
    readonly low: string
    readonly high: string
  }[]
  readonly resultsAt: string
  readonly vitals: readonly { readonly test: Coded; readonly value: string; readonly unit: string }[]
  readonly vitalsAt: string
  readonly procedures: readonly { readonly procedure: Coded; readonly done: string }[]
  readonly encounters: readonly { readonly encounter: Coded; readonly at: string; readonly place: string }[]
  readonly planned: readonly { readonly procedure: Coded; readonly at: string }[]
}

const snomed = (code: string, display: string): Coded => ({
  code,
  system: '2.16.840.1.113883.6.96',
  systemName: 'SNOMED CT',
  display,
})
const rxnorm = (code: string, display: string): Coded => ({
  code,
  system: '2.16.840.1.113883.6.88',
  systemName: 'RxNorm',
  display,
})
const loinc = (code: string, display: string): Coded => ({
  code,
  system: '2.16.840.1.113883.6.1',
  systemName: 'LOINC',
  display,
})
const cvx = (code: string, display: string): Coded => ({
  code,
  system: '2.16.840.1.113883.12.292',
  systemName: 'CVX',
  display,
})

export const samplePatient: SamplePatient = {
  given: 'Sam',
  family: 'Sample',
  birthDate: '1979-04-12',
  gender: 'F',
  medicalRecordNumber: 'SAMPLE-0001',
  author: { given: 'Rosa', family: 'Rivera', practice: 'Sample Hospital Family Practice' },
  writtenAt: '2026-03-14T09:30:00-05:00',
  allergies: [
    {
      substance: rxnorm('7980', 'Penicillin G'),
      reaction: snomed('247472004', 'Hives'),
      severity: snomed('6736007', 'Moderate'),
      onset: '1998',
    },
  ],
  problems: [
    { problem: snomed('59621000', 'Essential hypertension'), onset: '2019-05' },
    { problem: snomed('233604007', 'Pneumonia'), onset: '2024-01-08', resolved: '2024-02-02' },
  ],
  medications: [
    {
      product: rxnorm('314076', 'lisinopril 10 MG Oral Tablet'),
      started: '2019-06-01',
      everyHours: '24',
      dose: '1',
      sig: 'One tablet every morning',
    },
    {
      product: rxnorm('197806', 'ibuprofen 600 MG Oral Tablet'),
      started: '2026-03-14',
      everyHours: '8',
      dose: '1',
      sig: 'One tablet every 8 hours with food',
    },
  ],
  immunizations: [
    { vaccine: cvx('88', 'Influenza virus vaccine'), given: '2025-10-15' },
    { vaccine: cvx('115', 'Tdap'), given: '2026-03-14', refused: true },
  ],
  results: [
    { test: loinc('718-7', 'Hemoglobin'), value: '13.2', unit: 'g/dL', low: '12.0', high: '15.5' },
    { test: loinc('2823-3', 'Potassium'), value: '4.1', unit: 'mmol/L', low: '3.5', high: '5.1' },
  ],
  resultsAt: '2026-03-13T08:15:00-05:00',
  vitals: [
    { test: loinc('8480-6', 'Systolic blood pressure'), value: '128', unit: 'mm[Hg]' },
    { test: loinc('8462-4', 'Diastolic blood pressure'), value: '82', unit: 'mm[Hg]' },
    { test: loinc('8867-4', 'Heart rate'), value: '71', unit: '/min' },
    { test: loinc('29463-7', 'Body weight'), value: '68.4', unit: 'kg' },
  ],
  vitalsAt: '2026-03-14T09:05:00-05:00',
  procedures: [{ procedure: snomed('80146002', 'Appendectomy'), done: '1996-07-21' }],
  encounters: [
    {
      encounter: {
        code: '99213',
        system: '2.16.840.1.113883.6.12',
        systemName: 'CPT',
        display: 'Office outpatient visit',
      },
      at: '2026-03-14T09:00:00-05:00',
      place: 'Sample Hospital Family Practice',
    },
  ],
  planned: [{ procedure: snomed('73761001', 'Colonoscopy'), at: '2026-05-20' }],
}
