import { randomBytes } from 'node:crypto'
import { audit } from './audit/audit.js'
import type { Config } from './config/settings.js'
import { openActivity } from './consent/activity.js'
import { openApps } from './consent/apps.js'
import type { Activity, Apps } from './consent/consent.js'
import type { TestOnlyPolicy } from './directory/certificate.js'
import type { Directory } from './directory/directory.js'
import { openDirectory } from './directory/open.js'
import { type Homes, type OnStoreChange, openHomes } from './homes.js'
import { openDataKeys } from './keyring/data-keys.js'
import { type Keyring, openKeyring } from './keyring/keyring.js'
import type { MasterKey } from './keyring/master-key.js'
import { openVault } from './keyring/vault.js'
import { type Mailbox, openMailbox } from './mailbox/mailbox.js'
import { readPart } from './pipeline/read.js'
import type { Audit } from './ports/audit.js'
import type { Store } from './ports/store.js'
import { type Vault, VaultFailed } from './ports/vault.js'
import type { Clock, Random } from './ports/world.js'
import { recordLimits } from './record/item.js'
import { openRecord, type PatientRecord } from './record/record.js'
import { openQuarantine, type Quarantine } from './spool/quarantine.js'
import { openSpool, type Spool, spoolLimits } from './spool/spool.js'
import { openSubmissions, type Submissions } from './spool/submission.js'
import { openTrail, type Trail } from './spool/trail.js'
import { markWords, readMark } from './upkeep/mark.js'

export const clock: Clock = { now: () => Date.now() }
export const random: Random = { bytes: (size) => new Uint8Array(randomBytes(size)) }

/** Everything that lasts, opened: what the running gateway works on, and a single command of the operator too. */
export interface House extends Homes {
  readonly keyring: Keyring
  readonly vault: Vault
  readonly audit: Audit
  readonly directory: Directory
  readonly spool: Spool
  readonly submissions: Submissions
  readonly trail: Trail
  readonly quarantine: Quarantine
  readonly mailbox: Mailbox
  readonly record: PatientRecord
  readonly apps: Apps
  readonly activity: Activity
  /** 32 random bytes that this installation keeps for one use, sealed: keyed digests in the names of rows, pseudonyms. */
  indexKey(use: string): Promise<Uint8Array>
}

/** The master key is not the one under which this folder's data is sealed. */
export class WrongMasterKey extends Error {
  override readonly name = 'WrongMasterKey'
}

/** The store was moved away, or is not yet wholly there: whoever worked on it would lose what he does. */
export class HomeMarked extends Error {
  override readonly name = 'HomeMarked'
}

/**
 * Opens what lasts under its master key. Throws StoreFailed where it cannot be opened, HomeMarked where nobody may work on
 * it, and WrongMasterKey before anything is sealed under a second key. Only the demo says that certificates marked TEST
 * ONLY are welcome.
 */
export async function openHouse(
  config: Config,
  masterKey: MasterKey,
  options: TestOnlyPolicy & { readonly onStoreChange?: OnStoreChange } = {},
): Promise<House> {
  const homes = await openHomes(config, clock, options.onStoreChange)
  const keyring = openKeyring({ current: masterKey }, random)
  try {
    const mark = await readMark(homes.store)
    if (mark) throw new HomeMarked(markWords(mark))
    await proveKey(homes.store, keyring)
    return await furnish(homes, keyring, config, options)
  } catch (error) {
    await homes.close()
    throw error
  }
}

async function furnish(homes: Homes, keyring: Keyring, config: Config, policy: TestOnlyPolicy): Promise<House> {
  const { store } = homes
  const vault = openVault({ store, keyring, random, deflate: true })
  const dataKeys = openDataKeys({ store, keyring, random })
  const trail = openTrail({ store, events: keepsEvents(config) })
  const kept = { ...homes, vault, clock, audit, trail }
  return {
    ...kept,
    keyring,
    directory: await openDirectory({ store, keyring, audit, clock, random, defaults: config.trust, ...policy }),
    spool: openSpool(
      { ...kept, random },
      { ...spoolLimits, seenHorizonMs: config.duplicates.horizonDays * 86_400_000 },
    ),
    submissions: openSubmissions(kept),
    quarantine: openQuarantine(kept),
    mailbox: openMailbox({ ...kept, readPart: async (message, path) => readPart(message, path) }),
    apps: openApps({ ...kept, random }),
    activity: openActivity({ ...kept, random }),
    indexKey: (use) => dataKeys.forSealing(`index/${use}`),
    record: openRecord(
      { ...kept, pause },
      { ...recordLimits, bytesPerRecord: config.records.quotaMiB * 2 ** 20 },
      {
        mode: config.records.reconcile,
        withheldLabels: config.records.withheldLabels,
      },
    ),
  }
}

/** Lets everybody else have the event loop. */
export const pause = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Whether steps of trails go to the log of events as well: where somebody is told of them. */
export function keepsEvents({ webhooks }: Config): boolean {
  return webhooks.keepEvents || Object.keys(webhooks.endpoints).length > 0
}

/** Wrapped when the store was new: who can unwrap it has the right master key. */
const proofKey = 'keyring/proof'

async function proveKey(store: Store, keyring: Keyring): Promise<void> {
  const row = await store.get(proofKey)
  if (!row) {
    const value = keyring.wrap('proof', 'house', random.bytes(16))
    const first = await store.commit({
      require: [{ key: proofKey, version: 'absent' }],
      put: [{ key: proofKey, value }],
    })
    // Another gateway over the same database may have been faster, and under another key.
    return first.kind === 'committed' ? undefined : proveKey(store, keyring)
  }
  try {
    keyring.unwrap('proof', 'house', row.value)
  } catch (error) {
    if (!(error instanceof VaultFailed)) throw error
    throw new WrongMasterKey(
      'The data is sealed under another master key: bring back the one that `direct-gateway init` made for it',
    )
  }
}
