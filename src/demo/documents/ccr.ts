import { Buffer } from 'node:buffer'
import { XMLBuilder } from 'fast-xml-parser'
import type { Coded, SamplePatient } from './patient.js'

type Element = { readonly [name: string]: unknown }

const builder = new XMLBuilder({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  format: true,
  suppressEmptyNode: true,
})

const source: Element = { Actor: { ActorID: 'author' } }

function described({ code, systemName, display }: Coded): Element {
  return { Text: display, Code: { Value: code, CodingSystem: systemName } }
}

const dated = (type: string, iso: string): Element => ({ Type: { Text: type }, ExactDateTime: iso })

function test(one: { readonly test: Coded; readonly value: string; readonly unit: string }, id: string): Element {
  return {
    CCRDataObjectID: id,
    Description: described(one.test),
    Status: { Text: 'Final results' },
    Source: source,
    TestResult: { Value: one.value, Units: { Unit: one.unit } },
  }
}

function body(patient: SamplePatient): Element {
  return {
    Problems: {
      Problem: patient.problems.map((one, i) => ({
        CCRDataObjectID: `problem-${i}`,
        DateTime: [dated('Onset', one.onset), ...(one.resolved === undefined ? [] : [dated('End date', one.resolved)])],
        Type: { Text: 'Diagnosis' },
        Description: described(one.problem),
        Status: { Text: one.resolved === undefined ? 'Active' : 'Resolved' },
        Source: source,
      })),
    },
    Alerts: {
      Alert: patient.allergies.map((one, i) => ({
        CCRDataObjectID: `alert-${i}`,
        DateTime: dated('Initial Occurrence', one.onset),
        Type: { Text: 'Allergy' },
        Description: described(one.substance),
        Status: { Text: 'Active' },
        Source: source,
        Reaction: { Description: described(one.reaction), Severity: { Text: one.severity.display } },
      })),
    },
    Medications: {
      Medication: patient.medications.map((one, i) => ({
        CCRDataObjectID: `medication-${i}`,
        DateTime: dated('Start date', one.started),
        Status: { Text: 'Active' },
        Source: source,
        Product: { ProductName: described(one.product) },
        Directions: {
          Direction: {
            Dose: { Value: one.dose, Units: { Unit: 'tablet' } },
            Frequency: { Value: `every ${one.everyHours} hours` },
          },
        },
        PatientInstructions: { Instruction: { Text: one.sig } },
      })),
    },
    Immunizations: {
      Immunization: patient.immunizations
        .filter((one) => !one.refused)
        .map((one, i) => ({
          CCRDataObjectID: `immunization-${i}`,
          DateTime: dated('Immunization date', one.given),
          Source: source,
          Product: { ProductName: described(one.vaccine) },
        })),
    },
    VitalSigns: {
      Result: {
        CCRDataObjectID: 'vitals',
        DateTime: dated('Measurement time', patient.vitalsAt),
        Description: { Text: 'Vital signs' },
        Source: source,
        Test: patient.vitals.map((one, i) => test(one, `vital-${i}`)),
      },
    },
    Results: {
      Result: {
        CCRDataObjectID: 'results',
        DateTime: dated('Collection time', patient.resultsAt),
        Description: { Text: 'Blood tests' },
        Source: source,
        Test: patient.results.map((one, i) => test(one, `result-${i}`)),
      },
    },
    Procedures: {
      Procedure: patient.procedures.map((one, i) => ({
        CCRDataObjectID: `procedure-${i}`,
        DateTime: dated('Procedure date', one.done),
        Description: described(one.procedure),
        Status: { Text: 'Completed' },
        Source: source,
      })),
    },
    Encounters: {
      Encounter: patient.encounters.map((one, i) => ({
        CCRDataObjectID: `encounter-${i}`,
        DateTime: dated('Encounter date', one.at),
        Type: described(one.encounter),
        Source: source,
        Locations: { Location: { Description: { Text: one.place } } },
      })),
    },
  }
}

/** A Continuity of Care Record (ASTM E2369) of the patient, without what a CCR has no element for: a refusal, a plan. */
export function buildCcr(patient: SamplePatient): Buffer {
  const { author } = patient
  const document = {
    '?xml': { '@version': '1.0', '@encoding': 'UTF-8' },
    ContinuityOfCareRecord: {
      '@xmlns': 'urn:astm-org:CCR',
      CCRDocumentObjectID: `${patient.medicalRecordNumber}-ccr`,
      Language: { Text: 'English' },
      Version: 'V1.0',
      DateTime: { ExactDateTime: patient.writtenAt },
      Patient: { ActorID: 'patient' },
      From: { ActorLink: { ActorID: 'author' } },
      Purpose: { Description: { Text: 'Copy for the patient' } },
      Body: body(patient),
      Actors: {
        Actor: [
          {
            ActorObjectID: 'patient',
            Person: {
              Name: { CurrentName: { Given: patient.given, Family: patient.family } },
              DateOfBirth: { ExactDateTime: patient.birthDate },
              Gender: { Text: patient.gender === 'F' ? 'Female' : 'Male' },
            },
            IDs: { Type: { Text: 'Medical record number' }, ID: patient.medicalRecordNumber },
          },
          {
            ActorObjectID: 'author',
            Person: { Name: { CurrentName: { Given: author.given, Family: author.family } } },
          },
        ],
      },
    },
  }
  return Buffer.from(builder.build(document), 'utf8')
}
