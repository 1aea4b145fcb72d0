import { authoredSchema } from '../api/item-schema.js'
import type { Config } from '../config/settings.js'
import { openAppEvents } from '../connect/app-events.js'
import { connectRules } from '../connect/authorized.js'
import { type ConnectLimits, connectLimits } from '../connect/limits.js'
import { openPackages } from '../connect/package/packages.js'
import { openUploads as openPackageUploads } from '../connect/package/uploads.js'
import { openPatientConnect } from '../connect/patient-connect.js'
import type { KindRules, RequestKind } from '../connect/request.js'
import { openRequests } from '../connect/requests.js'
import { openLinks } from '../connect/shl/links.js'
import { startAppWebhooks } from '../delivery/app-webhook.js'
import { clock, pause, random } from '../house.js'
import { openSlowHash } from '../keyring/slow-hash.js'
import { openHeld } from '../mailbox/held.js'
import { openClaims } from '../pipeline/claim.js'
import { openNewcomers } from '../pipeline/newuser.js'
import { newcomerRules } from '../pipeline/newuser-rules.js'
import { type NoticeFacts, openNotices } from '../pipeline/notices.js'
import { openShares } from '../pipeline/share.js'
import { readFhirFile } from '../pipeline/shl-read.js'
import type { Steps } from '../pipeline/steps.js'
import { readThings } from '../pipeline/things.js'
import type { Letters } from '../ports/letters.js'
import type { AuthoredItem } from '../record/item.js'
import { openUploads } from '../record/uploads.js'
import { linkFetch, outward } from '../resolve/fetch.js'
import { every, type Parts } from './parts.js'
import { halfOfSlowHash, type Society } from './people.js'

/** Codes that ended are told of by then. */
const sweepEveryMs = 60_000
/** Requests looked at in one round of the sweep. */
const sweptAtOnce = 500

/** The ways into a record that begin with a code or a link, and mail that waits for newcomers. */
export type Connections = Awaited<ReturnType<typeof startConnections>>

/** Opens them, tells applications what became of theirs, and ends what nobody came for. */
export async function startConnections(parts: Parts, society: Society, steps: Steps, letters: Letters) {
  const { house, config, log, metrics, closers } = parts
  const { store, blobs, vault, audit, apps, activity, record, directory } = house
  const { people, consents, origin } = society
  const slowHash = openSlowHash(halfOfSlowHash)
  const common = { ...{ store, blobs, vault, audit, clock, random, slowHash }, letters, apps, activity }
  const limits = limitsOf(config)
  const { answers, legacyEnvelope } = config.connect

  const rules: { [kind in RequestKind]?: KindRules } = {}
  const requests = openRequests({ ...common, indexKey: await house.indexKey('connect') }, { rules, answers, limits })
  const packageUploads = openPackageUploads(common)
  const events = openAppEvents({ apps })
  const pickupUrl = `${origin}/pickup`
  const packages = openPackages(
    { ...common, uploads: packageUploads, requests, events, pause },
    { answers, answerLimits: limits, legacyEnvelope, pickupUrl },
  )
  const held = openHeld<NoticeFacts>(common, await house.indexKey('held'))
  const notices = openNotices({ ...house, clock })
  rules.connect = connectRules({ apps, events, pseudonyms: consents.pseudonyms })
  rules.package = packages.rules
  rules.message = newcomerRules({ ...house, held, notices, clock })

  const connect = openPatientConnect({ ...common, requests, consents, records: people.records }, { pickupUrl, limits })
  const newcomers = openNewcomers({
    ...{ ...house, requests, held, notices, letters, people, steps, clock },
    ...{ pickupUrl, addresses: directory.addresses },
  })
  const claims = openClaims({
    ...{ ...common, requests, packages, record },
    held: (id) => people.records.get(id),
    items: itemsOf,
    things: readThings,
    fhir: (bytes, name) => readFhirFile(bytes, { name }),
    nameOf: async (app) => (await apps.get(app))?.name,
  })
  const uploads = openUploads({ ...common, usedBytes: async (id) => (await record.usage(id)).bytes })
  const links = openLinks({ ...common, indexKey: await house.indexKey('links'), base: origin })

  const webhooks = startAppWebhooks({
    ...{ ...common, log, metrics, webhook: (app) => apps.webhook(app) },
    outward: outward({ allowPrivate: config.fetch.allowPrivateAddresses }),
  })
  closers.push((graceMs) => webhooks.stop(graceMs))
  every(parts, sweepEveryMs, 'connections.not-swept', async () => {
    await requests.sweep(sweptAtOnce)
    await packageUploads.sweep()
    await uploads.sweep()
    await links.sweep()
  })
  const { allowPrivateAddresses: allowPrivate, timeoutMs } = config.fetch
  const shares = openShares({
    ...{ ...common, links, record, pause, base: origin },
    ...{ house: config.letters.service, withheldLabels: config.records.withheldLabels },
    fetch: linkFetch({ allowPrivate, timeoutMs }),
  })
  const dropOff = { packages, uploads: packageUploads, requests }
  return { connect, newcomers, claims, uploads, shares, dropOff }
}

function limitsOf({ connect }: Config): ConnectLimits {
  const { attempts, expirySeconds, keptSeconds, answerCharacters } = connect
  return {
    ...connectLimits,
    ...{ attempts, answerLeast: answerCharacters },
    expiresInMs: expirySeconds * 1000,
    keptMs: keptSeconds * 1000,
  }
}

/** Items as an application sent them; undefined where one is not as the API takes it. */
function itemsOf(sent: readonly unknown[]): readonly AuthoredItem[] | undefined {
  const read = authoredSchema.array().safeParse(sent)
  return read.success ? (read.data as readonly AuthoredItem[]) : undefined
}
