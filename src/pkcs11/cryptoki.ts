import { createRequire } from 'node:module'
import { ckf, ckr, codeWord } from './codes.js'

/** A function of the module answered with something other than CKR_OK. */
export class CryptokiFailed extends Error {
  override readonly name = 'CryptokiFailed'
  readonly code: number

  constructor(what: string, code: number) {
    super(`${what}: ${codeWord(code)}`)
    this.code = code
  }
}

/** The module cannot be loaded here at all. */
export class ModuleFailed extends Error {
  override readonly name = 'ModuleFailed'
}

export interface TokenInfo {
  readonly label: string
  readonly manufacturer: string
  readonly model: string
  readonly serial: string
  readonly flags: number
}

/** A mechanism with its parameter, a structure of its own. */
export interface Mechanism {
  readonly type: number
  readonly parameter?: Memory
}

/** Attributes by their types: a number is a CK_ULONG, a boolean a CK_BBOOL. */
export type Template = readonly (readonly [type: number, value: number | boolean | Uint8Array])[]

/** PKCS#11 as far as private keys need it. Every function throws CryptokiFailed for all but CKR_OK. */
export interface Cryptoki {
  /** Ends and begins the module: every session and object is gone. Nobody else may be in a call. */
  restart(): void
  /** Slots with a token in them. */
  slots(): readonly number[]
  tokenInfo(slot: number): TokenInfo
  mechanisms(slot: number): readonly number[]
  openSession(slot: number): number
  closeSession(session: number): void
  login(session: number, user: number, pin: string): void
  find(session: number, template: Template, atMost: number): readonly number[]
  /** The value, or undefined where the object has none or keeps it to itself. */
  attribute(session: number, object: number, type: number): Uint8Array | undefined
  sign(session: number, mechanism: Mechanism, key: number, data: Uint8Array, begun?: () => void): Uint8Array
  decrypt(session: number, mechanism: Mechanism, key: number, data: Uint8Array, begun?: () => void): Uint8Array
  derive(session: number, mechanism: Mechanism, key: number, template: Template): number
  destroy(session: number, object: number): void
  /** The bytes of a CK_ULONG, and back. */
  readonly ulong: (value: number) => Buffer
  /** Puts structures into memory: numbers are CK_ULONGs, bytes the address where they stand. */
  structure(...fields: readonly (number | Uint8Array)[]): Memory
}

/** A structure, and what it points to: both must stay until the call is over. */
export interface Memory {
  readonly bytes: Buffer
  readonly held: readonly (Uint8Array | Memory)[]
}

/** What is used of the package that calls C functions; it is loaded only where a module is configured. */
interface Caller {
  load(path: string): { func(definition: string): (...args: readonly unknown[]) => unknown; unload(): void }
  sizeof(type: string): number
  address(value: Uint8Array): bigint
  proto(definition: string): unknown
  call(pointer: bigint, type: unknown, ...args: readonly unknown[]): unknown
  readonly decode: (pointer: unknown, offset: number, type: string) => unknown
}

/** Places in CK_FUNCTION_LIST (pkcs11f.h), with how each is called: `u` a CK_ULONG, `p` a pointer. */
const functions = {
  C_Initialize: [0, 'p'],
  C_Finalize: [1, 'p'],
  C_GetSlotList: [4, 'bpp'],
  C_GetTokenInfo: [6, 'up'],
  C_GetMechanismList: [7, 'upp'],
  C_OpenSession: [12, 'uuppp'],
  C_CloseSession: [13, 'u'],
  C_Login: [18, 'uupu'],
  C_DestroyObject: [22, 'uu'],
  C_GetAttributeValue: [24, 'uupu'],
  C_FindObjectsInit: [26, 'upu'],
  C_FindObjects: [27, 'upup'],
  C_FindObjectsFinal: [28, 'u'],
  C_DecryptInit: [33, 'upu'],
  C_Decrypt: [34, 'upupp'],
  C_SignInit: [42, 'upu'],
  C_Sign: [43, 'upupp'],
  C_DeriveKey: [62, 'upupup'],
} as const satisfies Record<string, readonly [number, string]>
type FunctionName = keyof typeof functions
type Functions = (name: FunctionName, ...args: readonly unknown[]) => void

const wordTypes = { u: 'unsigned long', p: 'void *', b: 'unsigned char' } as const
const cTypes: Readonly<Record<string, string>> = wordTypes

export const cryptokiLimits = {
  /** Slots and mechanisms that are looked at; a partitioned module has some dozens of slots, and some hundred mechanisms. */
  listed: 1_000,
  /** A signature or a plaintext of RSA with 16384 bits. */
  resultBytes: 2_048,
  /** The largest attribute read here is a modulus or a label. */
  attributeBytes: 8_192,
}

/**
 * Loads a PKCS#11 module and prepares it for calls from several threads (C_Initialize with CKF_OS_LOCKING_OK). That it was
 * prepared already, by another thread, is as it should be; it ends with the process. Throws ModuleFailed
 * where it cannot be loaded, or numbers are not as wide as pointers (64-bit Windows).
 */
export function loadCryptoki(path: string): Cryptoki {
  const caller = loadCaller()
  if (caller.sizeof('unsigned long') !== 8 || caller.sizeof('void *') !== 8)
    throw new ModuleFailed('PKCS#11 modules are used on 64-bit systems of the Unix kind only')
  const call = functionsOf(caller, path)
  begin(caller, call)
  return cryptokiOver(caller, call)
}

function begin(caller: Caller, call: Functions): void {
  const { bytes } = structureOf(caller, [0, 0, 0, 0, ckf.osLockingOk, 0])
  try {
    call('C_Initialize', bytes)
  } catch (error) {
    if (!(error instanceof CryptokiFailed) || error.code !== ckr.alreadyInitialized) throw error
  }
}

function loadCaller(): Caller {
  const require = createRequire(import.meta.url)
  try {
    return require('koffi') as Caller
  } catch (error) {
    throw new ModuleFailed(`The package koffi, which calls PKCS#11 modules, is not here: ${firstLine(error)}`)
  }
}

function functionsOf(caller: Caller, path: string): Functions {
  let list: bigint
  try {
    const library = caller.load(path)
    // Kept for as long as the process: threads come and go, and what the module started must not lose its code.
    libraries.push(library)
    const out = Buffer.alloc(8)
    const code = Number(library.func('unsigned long C_GetFunctionList(void *list)')(out))
    if (code !== ckr.ok) throw new CryptokiFailed('C_GetFunctionList', code)
    list = out.readBigUInt64LE()
  } catch (error) {
    throw new ModuleFailed(`The PKCS#11 module ${path} cannot be loaded: ${firstLine(error)}`)
  }
  const made = new Map(
    Object.entries(functions).map(([name, [place, args]]) => {
      const pointer = caller.decode(list, 8 * (1 + place), 'uintptr_t')
      const definition = [...args].map((letter, i) => `${cTypes[letter]} a${i}`).join(', ')
      return [name, { pointer: BigInt(pointer as number | bigint), type: prototype(caller, args, definition) }]
    }),
  )
  return (name, ...args) => {
    const { pointer, type } = made.get(name) as { pointer: bigint; type: unknown }
    const code = Number(caller.call(pointer, type, ...args))
    if (code !== ckr.ok) throw new CryptokiFailed(name, code)
  }
}

const libraries: unknown[] = []
/** What calls under way point to. */
const held = new Set<Memory>()
const prototypes = new Map<string, unknown>()

/** Types are known by name in a thread, so that each is made once. */
function prototype(caller: Caller, args: string, definition: string): unknown {
  const known = prototypes.get(args) ?? caller.proto(`unsigned long Cryptoki_${args}(${definition})`)
  prototypes.set(args, known)
  return known
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? ''
}

function ulong(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

const numberAt = (bytes: Buffer, at = 0) => Number(bytes.readBigUInt64LE(at))

function structureOf(caller: Caller, fields: readonly (number | Uint8Array)[]): Memory {
  const bytes = Buffer.alloc(8 * fields.length)
  fields.forEach((field, i) => {
    const value = typeof field === 'number' ? BigInt(field) : field.length === 0 ? 0n : caller.address(field)
    bytes.writeBigUInt64LE(value, 8 * i)
  })
  return { bytes, held: fields.filter((field) => typeof field !== 'number') }
}

function cryptokiOver(caller: Caller, call: Functions): Cryptoki {
  const structure = (...fields: readonly (number | Uint8Array)[]) => structureOf(caller, fields)

  /** Keeps what the structure points to where it is while `work` runs: the garbage collector sees no addresses. */
  function holding<T>(memory: Memory, work: (bytes: Buffer) => T): T {
    held.add(memory)
    try {
      return work(memory.bytes)
    } finally {
      held.delete(memory)
    }
  }

  function listed(name: 'C_GetSlotList' | 'C_GetMechanismList', first: unknown): number[] {
    const count = ulong(0)
    call(name, first, null, count)
    const room = Math.min(numberAt(count), cryptokiLimits.listed)
    if (room === 0) return []
    const list = Buffer.alloc(8 * room)
    const filled = ulong(room)
    call(name, first, list, filled)
    return Array.from({ length: Math.min(numberAt(filled), room) }, (_, i) => numberAt(list, 8 * i))
  }

  function templateOf(template: Template): Memory {
    const values = template.map(([, value]) =>
      typeof value === 'number' ? ulong(value) : typeof value === 'boolean' ? Buffer.of(Number(value)) : value,
    )
    return structure(
      ...template.flatMap(([type], i) => [type, values[i] as Uint8Array, (values[i] as Uint8Array).length]),
    )
  }

  function mechanismOf({ type, parameter }: Mechanism): Memory {
    if (!parameter) return structure(type, 0, 0)
    const { bytes, held } = structure(type, parameter.bytes, parameter.bytes.length)
    return { bytes, held: [...held, parameter] }
  }

  /** One operation of a single part, its result in a buffer of its own. */
  function operate(
    [init, run]: readonly ['C_SignInit', 'C_Sign'] | readonly ['C_DecryptInit', 'C_Decrypt'],
    session: number,
    mechanism: Mechanism,
    key: number,
    data: Uint8Array,
    begun?: () => void,
  ): Uint8Array {
    holding(mechanismOf(mechanism), (bytes) => call(init, session, bytes, key))
    begun?.()
    const result = Buffer.alloc(cryptokiLimits.resultBytes)
    const length = ulong(result.length)
    call(run, session, data, data.length, result, length)
    const answer = Uint8Array.from(result.subarray(0, numberAt(length)))
    result.fill(0)
    return answer
  }

  return {
    ulong,
    structure,
    restart() {
      try {
        call('C_Finalize', null)
      } catch (error) {
        if (!(error instanceof CryptokiFailed)) throw error
      }
      begin(caller, call)
    },
    slots: () => listed('C_GetSlotList', 1),
    mechanisms: (slot) => listed('C_GetMechanismList', slot),
    tokenInfo(slot) {
      // CK_TOKEN_INFO: 96 octets of names, eleven CK_ULONGs, two versions and the time.
      const info = Buffer.alloc(256)
      call('C_GetTokenInfo', slot, info)
      const text = (from: number, to: number) => info.toString('utf8', from, to).replace(/[ \0]+$/, '')
      return {
        label: text(0, 32),
        manufacturer: text(32, 64),
        model: text(64, 80),
        serial: text(80, 96),
        flags: numberAt(info, 96),
      }
    },
    openSession(slot) {
      const session = ulong(0)
      call('C_OpenSession', slot, ckf.serialSession, null, null, session)
      return numberAt(session)
    },
    closeSession: (session) => call('C_CloseSession', session),
    login(session, user, pin) {
      const bytes = Buffer.from(pin, 'utf8')
      try {
        call('C_Login', session, user, bytes, bytes.length)
      } finally {
        bytes.fill(0)
      }
    },
    find(session, template, atMost) {
      const memory = templateOf(template)
      holding(memory, (bytes) => call('C_FindObjectsInit', session, bytes, template.length))
      try {
        const list = Buffer.alloc(8 * atMost)
        const count = ulong(0)
        call('C_FindObjects', session, list, atMost, count)
        return Array.from({ length: Math.min(numberAt(count), atMost) }, (_, i) => numberAt(list, 8 * i))
      } finally {
        call('C_FindObjectsFinal', session)
      }
    },
    attribute(session, object, type) {
      const value = Buffer.alloc(cryptokiLimits.attributeBytes)
      const memory = structure(type, value, value.length)
      try {
        holding(memory, (bytes) => call('C_GetAttributeValue', session, object, bytes, 1))
        const length = numberAt(memory.bytes, 16)
        return length <= value.length ? Uint8Array.from(value.subarray(0, length)) : undefined
      } catch (error) {
        const none: readonly number[] = [ckr.attributeSensitive, ckr.attributeTypeInvalid]
        if (error instanceof CryptokiFailed && none.includes(error.code)) return undefined
        throw error
      } finally {
        value.fill(0)
      }
    },
    sign: (...args) => operate(['C_SignInit', 'C_Sign'], ...args),
    decrypt: (...args) => operate(['C_DecryptInit', 'C_Decrypt'], ...args),
    derive(session, mechanism, key, template) {
      const derived = ulong(0)
      holding(mechanismOf(mechanism), (bytes) =>
        holding(templateOf(template), (attributes) =>
          call('C_DeriveKey', session, bytes, key, attributes, template.length, derived),
        ),
      )
      return numberAt(derived)
    },
    destroy: (session, object) => call('C_DestroyObject', session, object),
  }
}
