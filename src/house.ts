import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { audit } from './audit/audit.js'
import type { Config } from './config/settings.js'
import type { TestOnlyPolicy } from './directory/certificate.js'
import type { Directory } from './directory/directory.js'
import { openDirectory } from './directory/open.js'
import { type Keyring, openKeyring } from './keyring/keyring.js'
import type { MasterKey } from './keyring/master-key.js'
import { openVault } from './keyring/vault.js'
import { type Mailbox, openMailbox } from './mailbox/mailbox.js'
import { readPart } from './pipeline/read.js'
import type { Audit } from './ports/audit.js'
import type { Blobs } from './ports/blobs.js'
import type { Store } from './ports/store.js'
import { type Vault, VaultFailed } from './ports/vault.js'
import type { Clock, Random } from './ports/world.js'
import { openRecord, type PatientRecord } from './record/record.js'
import { openQuarantine, type Quarantine } from './spool/quarantine.js'
import { openSpool, type Spool, spoolLimits } from './spool/spool.js'
import { openTrail, type Trail } from './spool/trail.js'
import { openFileBlobs } from './store/blobs.js'
import { openLevelStore } from './store/level/level.js'

export const clock: Clock = { now: () => Date.now() }
export const random: Random = { bytes: (size) => new Uint8Array(randomBytes(size)) }

/** Everything that lasts, opened: what the running gateway works on, and a single command of the operator too. */
export interface House {
  readonly store: Store
  readonly blobs: Blobs
  readonly keyring: Keyring
  readonly vault: Vault
  readonly audit: Audit
  readonly directory: Directory
  readonly spool: Spool
  readonly trail: Trail
  readonly quarantine: Quarantine
  readonly mailbox: Mailbox
  readonly record: PatientRecord
}

/** The master key is not the one under which this folder's data is sealed. */
export class WrongMasterKey extends Error {
  override readonly name = 'WrongMasterKey'
}

/**
 * Opens the data folder under its master key. Throws StoreFailed where another process has it or it cannot be read, and
 * WrongMasterKey before anything is sealed under a second key. Only the demo says that certificates marked TEST ONLY are
 * welcome.
 */
export async function openHouse(config: Config, masterKey: MasterKey, policy: TestOnlyPolicy = {}): Promise<House> {
  const store = await openLevelStore(join(config.dataDir, 'store'), clock)
  const keyring = openKeyring({ current: masterKey }, random)
  try {
    await proveKey(store, keyring, config.dataDir)
    return await furnish(store, keyring, config, policy)
  } catch (error) {
    await store.close()
    throw error
  }
}

async function furnish(store: Store, keyring: Keyring, config: Config, policy: TestOnlyPolicy): Promise<House> {
  const blobs = await openFileBlobs(join(config.dataDir, 'blobs'), clock)
  const vault = openVault({ store, keyring, random, deflate: true })
  const kept = { store, blobs, vault, clock, audit }
  return {
    ...kept,
    keyring,
    directory: await openDirectory({ store, keyring, audit, clock, random, defaults: config.trust, ...policy }),
    spool: openSpool(
      { ...kept, random },
      { ...spoolLimits, seenHorizonMs: config.duplicates.horizonDays * 86_400_000 },
    ),
    trail: openTrail(kept),
    quarantine: openQuarantine(kept),
    mailbox: openMailbox({ ...kept, readPart: async (message, path) => readPart(message, path) }),
    record: openRecord(kept),
  }
}

/** Wrapped when the folder was new: who can unwrap it has the right master key. */
const proofKey = 'keyring/proof'

async function proveKey(store: Store, keyring: Keyring, dataDir: string): Promise<void> {
  const row = await store.get(proofKey)
  if (!row) {
    const value = keyring.wrap('proof', 'house', random.bytes(16))
    await store.commit({ require: [{ key: proofKey, version: 'absent' }], put: [{ key: proofKey, value }] })
    return
  }
  try {
    keyring.unwrap('proof', 'house', row.value)
  } catch (error) {
    if (!(error instanceof VaultFailed)) throw error
    throw new WrongMasterKey(
      `The data in ${dataDir} is sealed under another master key: bring back the one that \`direct-gateway init\` made for it`,
    )
  }
}
