import { profilesOf } from './claim.js'
import { type JsonObject, writeJson } from './json.js'
import { narrative } from './make.js'
import { searchParameters } from './search.js'

/** What this server does, and nothing that it does not (FHIR R4 §5.2), as JSON text. `at` is Unix milliseconds. */
export function capabilityStatement(base: string, at: number): string {
  return writeJson({
    resourceType: 'CapabilityStatement',
    text: narrative(['The items of a patient record as FHIR R4, for reading']),
    status: 'active',
    date: new Date(at).toISOString().slice(0, 10),
    kind: 'instance',
    software: { name: 'direct-gateway' },
    implementation: { description: 'The items of a patient record as FHIR R4, for reading', url: base },
    fhirVersion: '4.0.1',
    format: ['application/fhir+json', 'json'],
    instantiates: [],
    rest: [
      {
        mode: 'server',
        security: {
          description: 'A bearer token with the scope record:read, for one address or for the whole gateway',
        },
        resource: [
          ...Object.keys(searchParameters).map(resourceOf),
          { type: 'Binary', interaction: [{ code: 'read' }] },
        ],
      },
    ],
  })
}

function resourceOf(type: string): JsonObject {
  const parameters = Object.entries(searchParameters[type] ?? {})
  return {
    type,
    supportedProfile: profilesOf(type),
    interaction: [{ code: 'read' }, { code: 'search-type' }],
    versioning: 'no-version',
    searchRevInclude: type === 'Provenance' ? [] : ['Provenance:target'],
    searchParam: parameters.map(([name, { kind }]) => ({ name, type: kind })),
    operation:
      type === 'Patient'
        ? [{ name: 'everything', definition: 'http://hl7.org/fhir/OperationDefinition/Patient-everything' }]
        : [],
  }
}
