import type { CompiledRule } from './rules/rule.js'

/** What a domain of ours demands of the certificates of others. */
export interface TrustPolicy {
  /**
   * What an unreachable CRL means. `hard`: the verdict waits (undecided), as unknown is not good. `soft`: trusted with the
   * warning `revocation-unknown`. `off`: nobody is asked.
   */
  readonly revocation: 'hard' | 'soft' | 'off'
  /** Under `hard`, also refuse certificates for which no CRL is published. */
  readonly requirePublishedRevocation: boolean
  /** Accept SHA-1 in the signatures of certificates, with the warning `weak-digest`. MD5 is never accepted. */
  readonly allowSha1InPaths: boolean
  /** Refuse certificates whose extendedKeyUsage is there without emailProtection (RFC 8550 §4.4.4). */
  readonly requireEmailProtection: boolean
  /** Certificate policies of which the path must be valid for one (RFC 5280 §6.1.1 c); empty: any, and none too. */
  readonly requiredPolicies: readonly string[]
  /** User inputs to path validation about policies (RFC 5280 §6.1.1 d to f); absent: explicit where policies are required. */
  readonly policyInputs?: {
    readonly explicit?: boolean
    readonly inhibitMapping?: boolean
    readonly inhibitAny?: boolean
  }
  /** DSA in paths and lists, with SHA-1: there so that NIST's path validation suite can be run in full, and set nowhere else. */
  readonly allowDsa?: boolean
  /** Rules that the end-entity certificate must satisfy, every one. */
  readonly rules: readonly CompiledRule[]
  /** How far ahead the clock of an issuer may be: a certificate counts as valid so much before its notBefore. Expiry is exact. */
  readonly clockSkewMs: number
}

/**
 * Defaults. `hard`: a revoked clinic that can stop the CRL from being fetched must not pass, and the message only waits.
 * Not requiring publication: many Direct certificates of small authorities have no distribution point. SHA-1: forbidden
 * since ANSI/DS 2019-01-100-2021. emailProtection: RFC 5280 §4.2.1.12 limits a key to the purposes listed, and the Direct
 * certificate profile lists this one. Five minutes of skew: a clinic may send with the certificate that it got a minute ago.
 */
export const defaultTrustPolicy: TrustPolicy = {
  revocation: 'hard',
  requirePublishedRevocation: false,
  allowSha1InPaths: false,
  requireEmailProtection: true,
  requiredPolicies: [],
  rules: [],
  clockSkewMs: 300_000,
}

export const trustLimits = {
  /** Signatures checked to decide for one recipient, remembered ones not counted: at 1.1 ms (P-521) 44 ms in the worst case. Honest paths need four. */
  signatureChecks: 40,
  /** Links looked at in one search, remembered ones included, so that a graph of remembered links ends too. */
  steps: 500,
  /** Certificates of a path, leaf and anchor included; real ones have three or four. */
  depth: 8,
  /** Certificates of the message that are looked at; real messages bring below five. */
  bag: 20,
  /** Certificates that Issuers may add to one search, and how often it is asked. */
  issuers: 20,
  issuerQuestions: 6,
  /** Signers judged; more than two signatures on one message is unheard of. */
  signers: 8,
  /** Valid paths whose revocation is looked up before giving up. */
  paths: 4,
  /** Paths judged by their rules, valid or not; a sound one is nearly always the first. */
  judgedPaths: 16,
  /** Names times constraints compared for one certificate, about a microsecond each. */
  nameComparisons: 10_000,
  /** Signature results and paths remembered; about 200 and 300 bytes each. */
  rememberedSignatures: 20_000,
  rememberedPaths: 20_000,
}
