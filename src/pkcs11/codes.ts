/** Numbers of PKCS#11 v2.40, as far as they are used here (pkcs11t.h); the rooms' own names follow the standard's. */
export const ckf = {
  osLockingOk: 0x2,
  serialSession: 0x4,
  loginRequired: 0x4,
  userPinInitialized: 0x8,
  userPinFinalTry: 0x2_0000,
  userPinLocked: 0x4_0000,
} as const

export const cku = { user: 1, contextSpecific: 2 } as const

export const cko = { publicKey: 2, privateKey: 3, secretKey: 4 } as const

export const ckk = { rsa: 0, ec: 3, genericSecret: 0x10 } as const

export const cka = {
  class: 0x0,
  token: 0x1,
  label: 0x3,
  value: 0x11,
  keyType: 0x100,
  id: 0x102,
  sensitive: 0x103,
  decrypt: 0x105,
  sign: 0x108,
  derive: 0x10c,
  modulus: 0x120,
  publicExponent: 0x122,
  valueLen: 0x161,
  extractable: 0x162,
  ecParams: 0x180,
  ecPoint: 0x181,
  alwaysAuthenticate: 0x202,
} as const

export const ckm = {
  rsaPkcs: 0x1,
  rsaX509: 0x3,
  rsaPkcsPss: 0xd,
  ecdsa: 0x1041,
  ecdh1Derive: 0x1050,
  sha256: 0x250,
  sha384: 0x260,
  sha512: 0x270,
} as const

/** Mask generation functions of CK_RSA_PKCS_PSS_PARAMS. */
export const ckg = { sha256: 2, sha384: 3, sha512: 4 } as const

/** CK_EC_KDF_TYPE: the shared secret as it is. */
export const ckdNull = 1

export const ckr = {
  ok: 0x0,
  attributeSensitive: 0x11,
  attributeTypeInvalid: 0x12,
  dataInvalid: 0x20,
  dataLenRange: 0x21,
  encryptedDataInvalid: 0x40,
  encryptedDataLenRange: 0x41,
  mechanismParamInvalid: 0x71,
  pinIncorrect: 0xa0,
  pinInvalid: 0xa1,
  pinLenRange: 0xa2,
  pinExpired: 0xa3,
  pinLocked: 0xa4,
  userAlreadyLoggedIn: 0x100,
  alreadyInitialized: 0x191,
} as const

/** What the codes that an operator may meet are called. */
const words = new Map<number, string>([
  [0x02, 'CKR_HOST_MEMORY'],
  [0x03, 'CKR_SLOT_ID_INVALID'],
  [0x05, 'CKR_GENERAL_ERROR'],
  [0x06, 'CKR_FUNCTION_FAILED'],
  [0x07, 'CKR_ARGUMENTS_BAD'],
  [0x12, 'CKR_ATTRIBUTE_TYPE_INVALID'],
  [0x20, 'CKR_DATA_INVALID'],
  [0x21, 'CKR_DATA_LEN_RANGE'],
  [0x30, 'CKR_DEVICE_ERROR'],
  [0x31, 'CKR_DEVICE_MEMORY'],
  [0x32, 'CKR_DEVICE_REMOVED'],
  [0x40, 'CKR_ENCRYPTED_DATA_INVALID'],
  [0x41, 'CKR_ENCRYPTED_DATA_LEN_RANGE'],
  [0x54, 'CKR_FUNCTION_NOT_SUPPORTED'],
  [0x60, 'CKR_KEY_HANDLE_INVALID'],
  [0x63, 'CKR_KEY_TYPE_INCONSISTENT'],
  [0x68, 'CKR_KEY_FUNCTION_NOT_PERMITTED'],
  [0x70, 'CKR_MECHANISM_INVALID'],
  [0x71, 'CKR_MECHANISM_PARAM_INVALID'],
  [0x82, 'CKR_OBJECT_HANDLE_INVALID'],
  [0x90, 'CKR_OPERATION_ACTIVE'],
  [0x91, 'CKR_OPERATION_NOT_INITIALIZED'],
  [0xa0, 'CKR_PIN_INCORRECT'],
  [0xa1, 'CKR_PIN_INVALID'],
  [0xa2, 'CKR_PIN_LEN_RANGE'],
  [0xa3, 'CKR_PIN_EXPIRED'],
  [0xa4, 'CKR_PIN_LOCKED'],
  [0xb0, 'CKR_SESSION_CLOSED'],
  [0xb1, 'CKR_SESSION_COUNT'],
  [0xb3, 'CKR_SESSION_HANDLE_INVALID'],
  [0xe0, 'CKR_TOKEN_NOT_PRESENT'],
  [0xe1, 'CKR_TOKEN_NOT_RECOGNIZED'],
  [0x101, 'CKR_USER_NOT_LOGGED_IN'],
  [0x102, 'CKR_USER_PIN_NOT_INITIALIZED'],
  [0x190, 'CKR_CRYPTOKI_NOT_INITIALIZED'],
])

/** A return value as people look it up. */
export function codeWord(code: number): string {
  return words.get(code) ?? `CKR 0x${code.toString(16)}`
}
