import { randomBytes } from 'node:crypto'
import { buildApi } from '../../src/api/api.js'
import { type Caller, callerOf } from '../../src/api/caller.js'
import type { ApiOptions, ApiPorts } from '../../src/api/ports.js'
import { audit } from '../../src/audit/audit.js'
import { openAuditReport } from '../../src/audit/report.js'
import { openActivity } from '../../src/consent/activity.js'
import { openApps } from '../../src/consent/apps.js'
import { openConsents } from '../../src/consent/consents.js'
import { openPseudonyms } from '../../src/consent/pseudonyms.js'
import type { DirectAddress } from '../../src/direct/address.js'
import type { TokenScope } from '../../src/directory/directory.js'
import { openDirectory } from '../../src/directory/open.js'
import { openKeyring } from '../../src/keyring/keyring.js'
import { createMasterKey, readMasterKey } from '../../src/keyring/master-key.js'
import { openMailbox } from '../../src/mailbox/mailbox.js'
import type { NewMessage } from '../../src/mailbox/message.js'
import { openMetrics } from '../../src/observe/metrics.js'
import { trackingPolicy } from '../../src/pipeline/deadlines.js'
import { openFhir } from '../../src/pipeline/fhir.js'
import { openQueues } from '../../src/pipeline/queue.js'
import { outcomesOf } from '../../src/pipeline/sent.js'
import { submit } from '../../src/pipeline/submit.js'
import { together } from '../../src/ports/store.js'
import { openRecord } from '../../src/record/record.js'
import { openUploads } from '../../src/record/uploads.js'
import { openEvents } from '../../src/spool/events.js'
import { openQuarantine } from '../../src/spool/quarantine.js'
import { inboundQueue, openSpool } from '../../src/spool/spool.js'
import { openSubmissions } from '../../src/spool/submission.js'
import { openTrail } from '../../src/spool/trail.js'
import { heldBy } from '../consent/world.js'
import { newMessage } from '../mailbox/new-message.js'
import { item, readDocument } from '../record/read-document.js'
import { openRoom } from '../spool/room.js'

export const alice = 'alice@gw.example' as DirectAddress
export const bob = 'bob@gw.example' as DirectAddress

/** A gateway with two patients, a message and a record item each, and one message in quarantine; with its API. */
export async function openGateway(
  options: ApiOptions = {},
  given: Partial<ApiPorts> = {},
  nudge: () => void = () => undefined,
) {
  const room = await openRoom()
  const random = { bytes: (size: number) => randomBytes(size) }
  const master = readMasterKey(createMasterKey(random))
  if (master.kind !== 'master-key') throw new Error(master.detail)
  const keyring = openKeyring({ current: master.key }, random)
  const directory = await openDirectory({ ...room, audit, keyring, random })
  await directory.domains.add('gw.example', 'test')
  const mailbox = openMailbox({
    ...room,
    readPart: async (message) => Buffer.from(message).subarray(0, 7),
  })
  const record = openRecord(room)
  const trail = openTrail(room)
  const quarantine = openQuarantine(room)
  const metrics = openMetrics({ process: false })
  const logged: string[] = []
  const note = (event: string, fields?: object) => void logged.push(`${event} ${JSON.stringify(fields ?? {})}`)
  const submissions = openSubmissions({ ...room, audit })
  const sending: ApiPorts['sending'] = {
    submit: (request) => submit(request, { ...room, directory, submissions, random, tracking: trackingPolicy }),
    submissions,
  }
  const held = heldBy()
  const activity = openActivity(room)
  const pseudonyms = openPseudonyms(random.bytes(32))
  const consents = openConsents({ ...room, audit, activity, pseudonyms, people: held.ports })
  const callers = new Map<string, Caller>()
  const ports: ApiPorts = {
    ...room,
    people: held.ports,
    apps: openApps({ ...room, audit }),
    ...{ activity, consents },
    sending,
    audit,
    auditReport: openAuditReport(room.store),
    mailbox,
    record,
    uploads: openUploads({ ...room, usedBytes: async (id) => (await record.usage(id)).bytes }),
    trail,
    quarantine,
    events: openEvents(room),
    metrics,
    addresses: directory.addresses,
    fhir: openFhir({ record }),
    authenticate: async (secret) =>
      callers.get(secret) ?? callerOf(await directory.tokens.authenticate(secret, room.clock.now())),
    log: { info: note, warn: note, error: note },
    checks: async () => [{ name: 'store', ok: room.store.healthy() }],
    exposition: () => metrics.exposition(),
    queues: openQueues({
      ...{ ...room, submissions, trail, audit },
      ends: {
        submission: async () => ({}),
        outbound: outcomesOf({
          ...room,
          directory,
          mailbox,
          submissions,
          trail,
          audit,
          notices: { outcome: () => ({}) },
        }),
        edge: () => ({}),
      },
      nudge,
      pause: async () => undefined,
    }),
    ...given,
  }

  async function patient(address: DirectAddress) {
    const added = await directory.addresses.add(address, 'patient', 'test')
    if (added.kind !== 'added' || !added.address.record) throw new Error('not added')
    const { mailbox: box, record: recordId } = added.address
    const message = await deliver(box, address)
    const document = readDocument(`<ClinicalDocument>${address}</ClinicalDocument>`, [
      item(`item-of-${address.split('@')[0]}`),
    ])
    const source = { sender: 'dr@far.example' as DirectAddress, mailbox: address, messageId: message, spoolId: 's' }
    await room.store.commit((await record.proposal(recordId, { documents: [document], ...source })).parts)
    const itemId = document.items[0]?.id ?? ''
    const letter = Buffer.from(`From: ${address}\r\nTo: dr@far.example\r\n\r\nx`)
    const sent = await submit(
      { from: address, message: letter, by: 'test' },
      { ...room, directory, submissions, random, tracking: trackingPolicy },
    )
    if (sent.kind === 'refused') throw new Error(sent.reason)
    const { document: sha256 } = document.item.provenance
    return { address, box, recordId, message, itemId, sha256, submission: sent.id }
  }
  async function deliver(box: string, address: string, more: Partial<NewMessage> = {}) {
    const original = Buffer.from(`Subject: to ${address}\r\n\r\nbody`)
    const { id, parts } = await mailbox.delivery(newMessage({ mailbox: box, original, ...more }))
    await room.store.commit(
      together(
        parts,
        trail.steps('a'.repeat(26), [
          { at: 1, step: 'accepted', detail: 'x' },
          { at: 2, step: 'delivered', recipient: address as DirectAddress, detail: 'x' },
        ]),
      ),
    )
    return id
  }
  async function token(address: string, scopes: readonly TokenScope[], expiresAt?: number) {
    const made = await directory.tokens.create(
      { address, scopes, label: 'test', ...(expiresAt === undefined ? {} : { expiresAt }) },
      'test',
    )
    if (made.kind !== 'added') throw new Error(made.problem)
    return { id: made.token.id, secret: made.secret, headers: { authorization: `Bearer ${made.secret}` } }
  }

  /** Headers of a caller that no operator's token stands for: a person, an application. */
  function as(caller: Caller) {
    const secret = `test-${callers.size}`
    callers.set(secret, caller)
    return { authorization: `Bearer ${secret}` }
  }

  const patients = { alice: await patient(alice), bob: await patient(bob) }
  const spool = openSpool(room)
  const peer = { address: '192.0.2.7', helo: 'mx.far.example', tls: true }
  const envelope = { mailFrom: 'dr@far.example' as DirectAddress, rcptTo: [alice], peer, receivedAt: 1 }
  const { id: quarantined } = await spool.accept(envelope, oneChunk())
  const [job] = await room.store.claim(inboundQueue, 1, 1000)
  const spooled = job && spool.read(job)
  if (!spooled) throw new Error('no job')
  const refused = [{ recipient: alice, reason: 'no-anchor', detail: 'x' }] as const
  await room.store.commit(together(spool.finish(spooled), await quarantine.keep(spooled, refused)))

  const app = await buildApi(ports, options)
  await app.ready()
  return {
    ...room,
    app,
    ports,
    as,
    held,
    consents,
    activity,
    directory,
    submissions,
    patients,
    deliver,
    token,
    quarantined,
    logged,
    mailbox,
  }
}

async function* oneChunk() {
  yield Buffer.from('ciphertext')
}
