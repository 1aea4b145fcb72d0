/** What a message says of itself for programs: Implementation Guide for Expressing Context in Direct Messaging v1.1. */

export const contextCategories = ['laboratory', 'radiology', 'pharmacy', 'referral', 'general', 'error'] as const
export const contextActions = ['order', 'report', 'result', 'query', 'response', 'notification'] as const
export const contextPurposes = ['treatment', 'payment', 'operations', 'emergency', 'research'] as const
export const contextEncapsulations = ['http', 'hl7v2'] as const
export const contextPatientFields = [
  'givenName',
  'surname',
  'middleName',
  'dateOfBirth',
  'gender',
  'socialSecurityNumber',
  'telephoneNumber',
  'streetAddress',
  'localityName',
  'stateOrProvinceName',
  'postalCode',
  'country',
  'directAddress',
] as const

/** A word of a vocabulary in its spelling there, or any other word as it came. */
export type ContextWord<Known extends string> = Known | (string & Record<never, never>)

/** A name that the guide does not know, with its value, as they came. */
export interface ContextField {
  readonly name: string
  readonly value: string
}

/** Whom it is about, for finding the patient: what the sender wrote, compared with nothing. */
export type ContextPatient = { readonly [name in (typeof contextPatientFields)[number]]?: string } & {
  readonly others?: readonly ContextField[]
}

/** The context of a message. What it says of the patient is clinical. */
export interface MessageContext {
  readonly version?: string
  /** Names the transaction. */
  readonly id?: string
  /** The patient in the lists of others: whose list (an OID), and the number in it. */
  readonly patientIds: readonly { readonly domain: string; readonly id: string }[]
  readonly type?: {
    readonly category: ContextWord<(typeof contextCategories)[number]>
    readonly action: ContextWord<(typeof contextActions)[number]>
  }
  readonly purpose?: ContextWord<(typeof contextPurposes)[number]>
  readonly patient?: ContextPatient
  /** What the other part of the message is made of. */
  readonly encapsulation?: ContextWord<(typeof contextEncapsulations)[number]>
  /** Of event notifications: when it was made, and the codes of its payload. */
  readonly creationTime?: string
  readonly formatCode?: string
  readonly typeCode?: string
  readonly contentTypeCode?: string
  readonly others: readonly ContextField[]
}
