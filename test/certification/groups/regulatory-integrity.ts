import { setTimeout as sleep } from 'node:timers/promises'
import { writeXdm } from '../../../src/clinical/xdm/write.js'
import { writeZip } from '../../../src/clinical/xdm/zip.js'
import { sampleCcda } from '../../../src/demo/documents.js'
import { until } from '../../fixtures/process.js'
import type { Look } from '../finding.js'
import { decryptedFor } from '../world/cms.js'
import { type Notes, notes } from './notes.js'
import {
  arrived,
  digestOf,
  doctor,
  handedOver,
  letterTo,
  mailbox,
  messagesOf,
  type RegulatoryWorld,
} from './regulatory-world.js'
import { entriesOf } from './xdm-rules.js'

/** 45 CFR 170.315(d)(8): SHA-2 over what is sent, and looked at on what comes: messages, documents, uploads, packages. */
export async function integrityCase(world: RegulatoryWorld): Promise<Look> {
  const heard = notes()
  await messages(world, heard)
  await documents(world, heard)
  await uploads(world, heard)
  await packages(world, heard)
  return heard.look()
}

const words: Readonly<Record<string, (entity: string) => string>> = {
  'its text': (entity) => entity.replace('All is well.', 'All is ill. '),
  'its subject': (entity) => entity.replace(/^Subject: /m, 'Subject: Re: '),
  'a header put in': (entity) =>
    entity.replace(/^MIME-Version: 1\.0\r\n(?=Content-Type: text)/m, 'X-Put-In: yes\r\n$&'),
}

/** A letter as it was signed comes, one that was changed since does not, and nothing is said of it to anybody. */
async function messages(world: RegulatoryWorld, heard: Notes): Promise<void> {
  const { far, seals, openssl } = world
  const sound = await letterTo(world, mailbox, 'as-it-was')
  heard.hear('a letter', await handedOver(world, mailbox, sound), /^250 /)
  const ids = new Map<string, string>()
  const hand = async (name: string, wire: Buffer) => {
    const reply = heard.hear(name, await handedOver(world, mailbox, wire), /^250 /)
    ids.set(/^250 2\.0\.0 (\S+)/.exec(reply)?.[1] ?? '', name)
  }
  for (const [name, change] of Object.entries(words)) {
    const changed = (entity: string) => {
      const other = change(entity)
      if (other === entity) throw new Error(`${name} was not changed`)
      return other
    }
    await hand(`changed after signing: ${name}`, await letterTo(world, mailbox, 'as-it-never-was', { change: changed }))
  }
  await hand('signed with SHA-1', await letterTo(world, mailbox, 'weak', { digest: 'sha1' }))
  await arrived(world, mailbox, 'as-it-was')
  const refused = await until(async () => {
    const rows = JSON.parse(await world.gateway.command('quarantine', 'list', '--json', '--limit', '1000'))
    const found = (rows as readonly { readonly id: string; readonly reasons: readonly string[] }[]).filter(({ id }) =>
      ids.has(id),
    )
    return found.length === ids.size ? found : undefined
  }, 20_000).catch(() => [])
  for (const [id, name] of ids) {
    const reasons = refused.find((one) => one.id === id)?.reasons.join(' ') ?? 'not refused'
    heard.hear(name, reasons, name.includes('SHA-1') ? /weak-digest/ : /signature|digest/)
  }
  await sleep(world.measure.quietMs)
  const came = (await messagesOf(world, mailbox)).map(({ subject }) => subject)
  if (came.some((subject) => /never-was|weak/.test(subject ?? ''))) heard.wrong.push('a changed letter was delivered')

  // One notice for the one that came, signed with SHA-2 itself; none for the others.
  const said = await Promise.all(
    far.caught.map(async ({ wire }) => {
      const inner = await decryptedFor(openssl, wire, seals.far)
      return inner.kind === 'opened' ? inner.entity : inner.detail
    }),
  )
  const about = (id: string) => said.filter((text) => text.includes(`Original-Message-ID: <${id}.`))
  if (about('as-it-was').length !== 1) heard.wrong.push(`${about('as-it-was').length} notices where one is owed`)
  if (about('as-it-never-was').length + about('weak').length > 0) heard.wrong.push('a notice for what was refused')
  for (const text of said) heard.hear('what signs mail that leaves', text, /micalg="?sha-?(256|384|512)/i)
}

/** A document that comes by mail is known by the SHA-256 of its bytes, and is read as those bytes. */
async function documents(world: RegulatoryWorld, heard: Notes): Promise<void> {
  const { address, patient } = world
  const wire = await letterTo(world, address, 'with-document', { attached: true })
  heard.hear('a letter with a document', await handedOver(world, address, wire), /^250 /)
  await arrived(world, address, 'with-document')
  const sha256 = digestOf(sampleCcda())
  const base = `/api/v1/records/${patient.record}/documents`
  const listed = await patient.client.must(200, 'GET', base)
  heard.hear('documents', listed.bytes.toString(), new RegExp(`"sha256":"${sha256}"`))
  const read = await patient.client.ask('GET', `${base}/${sha256}`)
  heard.hear('its bytes', `${read.status} ${digestOf(read.bytes)}`, new RegExp(`^200 ${sha256}$`))
}

async function uploads({ patient: { client, record } }: RegulatoryWorld, heard: Notes): Promise<void> {
  const bytes = Buffer.from('A picture, byte for byte.')
  const sent = async (sha256: string, what: Buffer) => {
    const begun = await client.must(201, 'POST', `/api/v1/records/${record}/blobs`, {
      json: { sizeBytes: bytes.length, sha256 },
    })
    return client.ask('PATCH', `/api/v1/records/${record}/blobs/${begun.json<{ id: string }>().id}`, {
      ...{ bytes: what, headers: { 'upload-offset': '0' } },
    })
  }
  const good = await sent(digestOf(bytes), bytes)
  heard.hear('an upload', String(good.status), /^200$/)
  const other = Buffer.from(bytes)
  other[3] = (other[3] ?? 0) ^ 1
  const bad = await sent(digestOf(bytes), other)
  const { healthvaultStatus, code } = bad.json<{ healthvaultStatus?: number; code?: string }>()
  heard.hear('an upload with another digest', `${code} ${healthvaultStatus}`, /^hash-mismatch 111$/)
}

/** An XDM package whose metadata give another hash than its document has: taken, and told of. */
async function packages(world: RegulatoryWorld, heard: Notes): Promise<void> {
  const { address } = world
  const made = writeXdm({
    ...{ documents: [{ bytes: sampleCcda() }], level: 'limited' },
    submission: {
      ...{ at: Date.now(), sourceId: '2.16.840.1.113883.19.5', title: 'A summary' },
      ...{ author: { address: doctor }, recipients: [{ address }] },
    },
  })
  if (made.kind !== 'package') throw new Error('no package')
  const entries = entriesOf(made.bytes).map((entry) =>
    entry.name.endsWith('DOC00001.XML')
      ? { ...entry, bytes: Buffer.from(entry.bytes.toString('utf8').replace(/<title>/i, '<title>A ')) }
      : entry,
  )
  const wire = await letterTo(world, address, 'with-package', {
    document: { name: 'XDM.ZIP', type: 'application/zip', bytes: writeZip(entries) },
  })
  heard.hear('a letter with a package', await handedOver(world, address, wire), /^250 /)
  const message = await arrived(world, address, 'with-package')
  const path = `/api/v1/mailboxes/${encodeURIComponent(address)}/messages/${message}`
  const read = await world.fresh().ask('GET', path, { token: world.tokens.everything })
  heard.hear('what is told of it', `${read.status} ${read.bytes}`, /^200 [\s\S]*"code":"hash-mismatch"/)
}
