import { join, resolve } from 'node:path'
import process from 'node:process'
import { verifyChain } from './audit/audit.js'
import { auditFamilies } from './audit/families.js'
import { openAuditReport } from './audit/report.js'
import { authorityFamilies } from './authority/families.js'
import type { MoveTarget, Operator, RestoreOutcome, Upkeep, UpkeepProgress } from './cli/operator.js'
import { describeProblem, loadConfig } from './config/load.js'
import { type Config, settings } from './config/settings.js'
import { connectFamilies } from './connect/families.js'
import { packageFamilies } from './connect/package/families.js'
import { linkFamilies } from './connect/shl/families.js'
import { consentFamilies } from './consent/families.js'
import { deliveryFamilies } from './delivery/families.js'
import { directoryFamilies } from './directory/families.js'
import { certificatesOf, tokenPlace } from './gateway/certificates.js'
import { queuesOf } from './gateway/mail.js'
import { openReach, type Reach } from './gateway/reach.js'
import { endpointsOf, webhookDeskOf } from './gateway/webhooks.js'
import { openHomes } from './homes.js'
import { clock, type House, random } from './house.js'
import { keyringFamilies } from './keyring/families.js'
import { openKeyring } from './keyring/keyring.js'
import type { MasterKey } from './keyring/master-key.js'
import { openVault } from './keyring/vault.js'
import { mailboxFamilies } from './mailbox/families.js'
import { oauthFamilies } from './oauth/families.js'
import { openLog } from './observe/log.js'
import { openMetrics } from './observe/metrics.js'
import { peopleFamilies } from './people/families.js'
import { type Bundles, openBundles } from './pipeline/bundles.js'
import type { Certificates } from './pipeline/certificates.js'
import { explain } from './pipeline/explain.js'
import { pipelineFamilies } from './pipeline/families.js'
import { openTokenKeys } from './pipeline/token-keys.js'
import { newShared } from './pkcs11/shared.js'
import type { KeyArithmetic } from './ports/arithmetic.js'
import { holdFamily, type RowFamily } from './ports/rows.js'
import { StoreFailed, together } from './ports/store.js'
import { VaultFailed } from './ports/vault.js'
import type { WebhookDesk } from './ports/webhooks.js'
import { recordFamilies } from './record/families.js'
import { resolveFamilies } from './resolve/families.js'
import { readPkcs12 } from './smime/pkcs12.js'
import { spoolFamilies } from './spool/families.js'
import { inboundQueue } from './spool/spool.js'
import { putBack, setAside } from './upkeep/aside.js'
import { BackupImpossible, backup } from './upkeep/backup.js'
import { createFile, readFileOf } from './upkeep/files.js'
import { BackupDamaged } from './upkeep/frames.js'
import { markWords, upkeepFamilies } from './upkeep/mark.js'
import { move, undoMark } from './upkeep/migrate.js'
import { restore } from './upkeep/restore.js'
import { figures } from './upkeep/stats.js'
import { type Finding, verify } from './upkeep/verify.js'
import { openArithmetic } from './workers/arithmetic.js'
import { tokensOf } from './workers/tokens.js'

/** Every row that any room keeps: what `verify` knows. */
export const rowFamilies: readonly RowFamily[] = [
  holdFamily,
  ...spoolFamilies,
  ...mailboxFamilies,
  ...recordFamilies,
  ...directoryFamilies,
  ...connectFamilies,
  ...authorityFamilies,
  ...keyringFamilies,
  ...pipelineFamilies,
  ...deliveryFamilies,
  ...consentFamilies,
  ...packageFamilies,
  ...linkFamilies,
  ...oauthFamilies,
  ...resolveFamilies,
  ...auditFamilies,
  ...peopleFamilies,
  ...upkeepFamilies,
]

/** Where the house stands, and who works on it, for the commands that look after it. */
export interface Place {
  readonly config: Config
  /** A gateway works on the house. */
  readonly running: boolean
  /** Tells that gateway that there is something to do in a queue. */
  nudge(queue: string): void
  readonly bundles: Bundles
  readonly webhooks: WebhookDesk
  readonly certificates: Certificates
  /** Where its keys are used. */
  readonly arithmetic: KeyArithmetic
  readonly reach: Pick<Reach, 'revocation' | 'issuers' | 'discovery'>
}

/** What one command may do while no gateway runs; `close` before the house is. */
export function openOperator(
  house: Omit<House, 'close'>,
  config: Config = settings.parse({}),
): { readonly operator: Operator; close(): Promise<void> } {
  const { store, directory, audit, keyring } = house
  const reach = openReach(house, config)
  const token = tokenPlace(config)
  const arithmetic = openArithmetic(keyring, tokensOf(token && { ...token, shared: newShared() }))
  const log = openLog({ level: 'silent' })
  const metrics = openMetrics({ process: false })
  const operator = operatorOf(house, {
    ...{ config, running: false, nudge: () => undefined, reach, arithmetic },
    // Only who asks for it needs the secrets of its endpoints.
    get webhooks() {
      return webhookDeskOf(house, endpointsOf(config))
    },
    bundles: openBundles({ ...{ store, directory, audit, clock, random }, ...reach, fetch: reach.bundleFetch }),
    certificates: certificatesOf(house, config, { arithmetic, log, metrics }),
  })
  return { operator, close: () => reach.close() }
}

/** What the operator's commands may do with an open house. */
export function operatorOf(house: Omit<House, 'close'>, place: Place): Operator {
  const { store, directory, trail, quarantine, audit } = house
  return {
    directory,
    apps: house.apps,
    trail,
    quarantine: {
      list: quarantine.list,
      get: quarantine.get,
      async judgeAgain(spoolId, by) {
        const parts = await quarantine.judgeAgain(spoolId)
        if (!parts) return false
        const at = clock.now()
        const told = {
          append: [
            audit.entry({
              at,
              action: 'message.judge-again',
              actor: by,
              subject: { spool: spoolId },
              outcome: 'success',
            }),
          ],
        }
        const outcome = await store.commit(together(parts, told))
        place.nudge(inboundQueue)
        return outcome.kind === 'committed'
      },
      purge: (olderThanMs) => quarantine.purge(olderThanMs),
    },
    queues: queuesOf(house, place.config, place.nudge),
    audit: {
      ...openAuditReport(store),
      async verify(known = []) {
        const verdict = await verifyChain(store, { known })
        if (verdict.kind !== 'whole') return verdict
        return { kind: 'intact', entries: verdict.head.sequence, head: verdict.head }
      },
    },
    pki: {
      async openPkcs12(file, passphrase) {
        const read = readPkcs12(file, passphrase)
        if (read.kind !== 'pkcs12') return { kind: 'refused', detail: `${read.problem}: ${read.detail}` }
        const [entry, ...others] = read.entries
        if (!entry) return { kind: 'refused', detail: 'The file has no private key with a certificate' }
        if (others.length > 0)
          return { kind: 'refused', detail: `The file has ${read.entries.length} private keys; give one at a time` }
        return { kind: 'opened', ...entry }
      },
    },
    bundles: place.bundles,
    get webhooks() {
      return place.webhooks
    },
    edgeSystems: Object.keys(place.config.edge.systems),
    explain: (question) => explain(question, { ...place.reach, directory, clock }),
    certificates: place.certificates,
    ...(tokenPlace(place.config) && { tokenKeys: openTokenKeys({ directory, arithmetic: place.arithmetic }) }),
    upkeep: upkeepOf(house, place),
    clock,
  }
}

type Kept = Pick<House, 'store' | 'blobs' | 'vault' | 'keyring' | 'audit'>

function upkeepOf({ store, blobs, vault, keyring, audit }: Kept, { config, running }: Place): Upkeep {
  const ports = { store, blobs, vault, unwrap: keyring.unwrap, families: rowFamilies }
  return {
    async verify({ known, setAside: by }, finding, progress) {
      const damaged: NonNullable<Finding['entry']>[] = []
      const tell = {
        finding({ entry, ...told }: Finding) {
          finding(told)
          if (entry && by !== undefined) damaged.push(entry)
        },
        progress: ({ rows, bytes }: { rows: number; bytes: number }) =>
          progress(`${rows} rows, ${mebibytes(bytes)} read`),
      }
      const verified = await verify(ports, tell, known)
      if (by === undefined || damaged.length === 0) return verified
      const name = `${new Date(clock.now()).toISOString().replaceAll(':', '')}.rows`
      const file = join(config.dataDir, 'quarantined-rows', name)
      const rows = await setAside({ store, clock, keyring, audit }, damaged, await createFile(file), by)
      return { ...verified, aside: { rows, file } }
    },
    stats: (progress) => figures(ports, (rows) => progress(`${rows} rows counted`)),
    async backup(sink, by, progress) {
      try {
        const made = await backup({ store, blobs, clock, keyring }, sink, ({ rows, bytes }) =>
          progress(`${rows} rows, ${mebibytes(bytes)} written`),
        )
        const subject = { digest: made.digest }
        const told = audit.entry({ at: clock.now(), action: 'backup.made', actor: by, subject, outcome: 'success' })
        await store.commit({ append: [told] })
        return { kind: 'made', ...made }
      } catch (error) {
        if (error instanceof BackupImpossible) return { kind: 'refused', detail: error.message }
        throw error
      }
    },
    async migrate(to, progress) {
      const target = await targetOf(to, config)
      if ('detail' in target) return { kind: 'refused', ...target }
      return migrate({ store, blobs, running }, target, to.name, progress)
    },
  }
}

/** Where to move to: another configuration, or this one with another kind of store. */
async function targetOf({ name, text }: MoveTarget, config: Config): Promise<Config | { readonly detail: string }> {
  if (text === undefined) {
    const target = settings.safeParse({ ...config, store: { ...config.store, kind: name } })
    return target.success ? target.data : { detail: target.error.issues.map(({ message }) => message).join('; ') }
  }
  // The environment speaks of the old home; nothing of it may reach the new one.
  const loaded = await loadConfig({ env: {}, cwd: process.cwd(), file: name, readFile: async () => text })
  if (loaded.kind === 'loaded') return loaded.config
  return { detail: loaded.problems.map((problem) => describeProblem(problem, name)).join('\n') }
}

async function migrate(
  { store, blobs, running }: Pick<Kept, 'store' | 'blobs'> & { readonly running: boolean },
  config: Config,
  name: string,
  progress: UpkeepProgress,
): ReturnType<Upkeep['migrate']> {
  const target = await openHomes(config, clock).catch(unopened)
  if ('detail' in target) return { kind: 'refused', detail: target.detail }
  try {
    const ports = { source: { store, blobs }, target, clock, targetName: name, running }
    const outcome = await move(ports, ({ phase, rows, changes, blobs }) =>
      progress(`${phase}: ${rows} rows, ${changes} written, ${blobs} blobs`),
    )
    switch (outcome.kind) {
      case 'moved':
      case 'copied':
        return outcome
      case 'target-in-use':
        return { kind: 'refused', detail: `the store of ${name} holds an installation already` }
      case 'already-moved':
        return { kind: 'refused', detail: markWords(outcome.mark) }
      case 'differs':
        return { kind: 'refused', detail: `not moved, the old store is still the truth: ${outcome.detail}` }
    }
  } finally {
    await target.close()
  }
}

/** Puts a backup into the homes of a configuration, opens them anew and verifies all; or rows that were set aside back. */
export async function restoreHomes(
  config: Config,
  masterKey: MasterKey,
  path: string,
  progress: UpkeepProgress,
): Promise<RestoreOutcome> {
  const keyring = openKeyring({ current: masterKey }, random)
  const open = () => readFileOf(resolve(path))
  const homes = await openHomes(config, clock).catch(unopened)
  if ('detail' in homes) return { kind: 'refused', detail: homes.detail }
  try {
    const outcome = await restore({ ...homes, clock, keyring }, open, ({ phase, rows, blobs }) =>
      progress(`${phase}: ${rows} rows, ${blobs} blobs`),
    )
    switch (outcome.kind) {
      case 'rows':
        return { kind: 'rows-back', ...(await putBack({ store: homes.store, keyring }, open)) }
      case 'not-empty':
        return { kind: 'refused', detail: 'there is an installation already: restore into an empty folder or database' }
      case 'wrong-key':
        return {
          kind: 'refused',
          detail: `${path} was made under another master key, or altered by somebody without it`,
        }
      case 'damaged':
        return { kind: 'refused', detail: `${path}: ${outcome.detail}` }
    }
    await homes.close()
    return await verified(config, keyring, outcome, progress)
  } catch (error) {
    if (error instanceof StoreFailed || error instanceof BackupDamaged || error instanceof VaultFailed)
      return { kind: 'refused', detail: error.message }
    if (error instanceof Error && 'code' in error)
      return { kind: 'refused', detail: `cannot read ${path}: ${error.code}` }
    throw error
  } finally {
    await homes.close().catch(() => undefined)
  }
}

async function verified<T extends RestoreOutcome>(
  config: Config,
  keyring: ReturnType<typeof openKeyring>,
  outcome: T,
  progress: UpkeepProgress,
): Promise<T | Extract<RestoreOutcome, { kind: 'refused' }>> {
  const homes = await openHomes(config, clock)
  try {
    const vault = openVault({ store: homes.store, keyring, random })
    const ports = { ...homes, vault, unwrap: keyring.unwrap, families: rowFamilies }
    const { findings } = await verify(ports, {
      finding: () => undefined,
      progress: ({ rows }) => progress(`verifying: ${rows} rows`),
    })
    if (findings === 0) return outcome
    return {
      kind: 'refused',
      detail: `restored as it was, and that is not whole: run verify, which tells ${findings} findings`,
    }
  } finally {
    await homes.close()
  }
}

/** Makes the store of a configuration the truth again, where it was moved away. */
export async function undoMoved(config: Config): Promise<boolean> {
  const homes = await openHomes(config, clock)
  try {
    return await undoMark(homes.store)
  } finally {
    await homes.close()
  }
}

function unopened(error: unknown): { readonly detail: string } {
  if (error instanceof StoreFailed) return { detail: error.message }
  throw error
}

const mebibytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`
