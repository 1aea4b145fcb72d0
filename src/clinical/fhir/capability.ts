import { profilesOf } from './claim.js'
import { type JsonObject, writeJson } from './json.js'
import { narrative } from './make.js'
import { searchParameters } from './search.js'

/** Where applications are authorized (SMART App Launch, capability statement). */
export interface OauthUris {
  readonly authorize: string
  readonly token: string
  readonly revoke?: string
  readonly introspect?: string
}

/** What this server does, and nothing that it does not (FHIR R4 §5.2), as JSON text. `at` is Unix milliseconds. */
export function capabilityStatement(base: string, at: number, oauth?: OauthUris): string {
  return writeJson({
    resourceType: 'CapabilityStatement',
    text: narrative(['The items of a patient record as FHIR R4']),
    status: 'active',
    date: new Date(at).toISOString().slice(0, 10),
    kind: 'instance',
    software: { name: 'direct-gateway' },
    implementation: { description: 'The items of a patient record as FHIR R4', url: base },
    fhirVersion: '4.0.1',
    format: ['application/fhir+json', 'json'],
    instantiates: [],
    rest: [
      {
        mode: 'server',
        security: {
          cors: true,
          description: 'A bearer token with the scope record:read or record:write, or of SMART App Launch',
          service: [
            {
              coding: [
                { system: 'http://terminology.hl7.org/CodeSystem/restful-security-service', code: 'SMART-on-FHIR' },
              ],
            },
          ],
          ...(oauth && {
            extension: [
              {
                url: 'http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris',
                extension: Object.entries(oauth).map(([url, valueUri]) => ({ url, valueUri })),
              },
            ],
          }),
        },
        interaction: [{ code: 'transaction' }],
        resource: [
          ...Object.keys(searchParameters).map(resourceOf),
          { type: 'Binary', interaction: [{ code: 'read' }] },
        ],
      },
    ],
  })
}

/** A dispense, a report and a Provenance are made of what other resources say. */
function isWritten(type: string): boolean {
  return !['MedicationDispense', 'DiagnosticReport', 'Provenance'].includes(type)
}

function resourceOf(type: string): JsonObject {
  const parameters = Object.entries(searchParameters[type] ?? {})
  return {
    type,
    supportedProfile: profilesOf(type),
    interaction: [
      ...['read', 'vread', 'search-type'],
      ...(isWritten(type) ? ['create', 'update', 'delete', 'history-instance'] : []),
    ]
      .filter((code) => type !== 'Patient' || (code !== 'create' && code !== 'delete'))
      .map((code) => ({ code })),
    versioning: 'versioned',
    ...(isWritten(type) && { conditionalCreate: type !== 'Patient', updateCreate: false }),
    searchRevInclude: type === 'Provenance' ? [] : ['Provenance:target'],
    searchParam: parameters.map(([name, { kind }]) => ({ name, type: kind })),
    operation:
      type === 'Patient'
        ? [{ name: 'everything', definition: 'http://hl7.org/fhir/OperationDefinition/Patient-everything' }]
        : [],
  }
}
