import { createHash } from 'node:crypto'
import { beginning } from '../../src/delivery/webhook.js'
import { sampleCcda } from '../../src/demo/documents.js'
import type { DirectDomain } from '../../src/direct/address.js'
import { openKeyring } from '../../src/keyring/keyring.js'
import { openVault } from '../../src/keyring/vault.js'
import { rowFamilies } from '../../src/operator.js'
import { submit } from '../../src/pipeline/submit.js'
import type { Blobs } from '../../src/ports/blobs.js'
import type { Store, StoredRow } from '../../src/ports/store.js'
import { missed } from '../../src/spool/silence.js'
import { rowName } from '../../src/upkeep/families.js'
import { encodeRow } from '../../src/upkeep/frames.js'
import { type Finding, verify } from '../../src/upkeep/verify.js'
import { random } from '../directory/worlds.js'
import { accept, alice, bob, type Disk, domain, newGateway, seal, work } from '../fixtures/gateway.js'
import { makeAuthority } from '../fixtures/pki.js'

export const keyringOf = (disk: Disk) => openKeyring({ current: disk.master }, random)

/** A document mailed as an attachment; `padding` makes its message too large for a row. */
export function withDocument(padding = 0): string {
  const xml = sampleCcda().toString() + ' '.repeat(padding)
  const base64 = Buffer.from(xml)
    .toString('base64')
    .replace(/(.{76})/g, '$1\r\n')
  return [
    'Content-Type: multipart/mixed; boundary="b"\r\n',
    '--b\r\nContent-Type: text/plain\r\n\r\nSee the attached summary.',
    `--b\r\nContent-Type: text/xml; name="ccd.xml"\r\nContent-Disposition: attachment; filename="ccd.xml"\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}`,
    '--b--\r\n',
  ].join('\r\n')
}

/** A gateway with something of everything: mail, records, refusals and their bodies, jobs of both queues, blobs. */
export async function busyGateway() {
  const made = await newGateway({}, { anchorFor: [domain] })
  const { gateway, disk } = made
  await accept(gateway, seal({ id: 'plain' }), [alice, bob])
  await accept(gateway, seal({ id: 'summary', content: withDocument() }))
  await accept(gateway, seal({ id: 'large', content: withDocument(200_000) }), [bob])
  await work(gateway)
  await gateway.directory.addresses.setEdge(bob, 'ehr', 'test')
  await gateway.directory.encryption.set('d/c@clinic.example', { rsaTransport: 'oaep-sha1' }, 'test')
  await accept(gateway, seal({ id: 'onwards', to: [bob] }), [bob])
  await work(gateway)
  const { anchors } = gateway.directory
  const [anchor] = await anchors.list()
  if (!anchor) throw new Error('the domain has an anchor')
  await anchors.remove(anchor.owner, anchor.id, 'test')
  await gateway.directory.bundles.add(
    {
      name: 'pilots',
      url: 'https://community.test/b.p7b',
      uses: [{ domain: domain as DirectDomain, direction: 'both' }],
    },
    {
      content: { certificates: [makeAuthority().certificate], digest: '0'.repeat(64), unreadable: 0 },
      status: { failures: 0 },
    },
    'test',
  )
  await accept(gateway, seal({ id: 'refused' }))
  await accept(gateway, seal({ id: 'large-refused', content: withDocument(200_000) }))
  await work(gateway)
  await accept(gateway, seal({ id: 'waits' }))
  await accept(gateway, seal({ id: 'large-waits', content: withDocument(200_000) }))
  const message = Buffer.from(`From: ${alice}\r\nTo: ${bob}\r\n\r\nHello\r\n`)
  await submit({ from: alice, to: [bob], message, by: 'test' }, { ...gateway, random })
  await gateway.store.commit({
    put: [
      {
        key: `delivery/begun/${(await gateway.store.jobs('outbound', 1))[0]?.id}`,
        value: Buffer.from('{"tries":1,"nextAt":1}'),
      },
      {
        key: `delivery/begun-edge/${(await gateway.store.jobs('edge', 1))[0]?.id}`,
        value: Buffer.from('{"tries":1,"nextAt":1}'),
      },
    ],
  })
  await gateway.store.commit((await missed(gateway.store, 'clinic.example' as DirectDomain, Date.now())).parts)
  await gateway.store.commit(await beginning(gateway.store, 'ehr-north', Date.now()))
  const keyring = keyringOf(disk)
  return { ...made, keyring, ...check({ ...gateway, ...keyring }) }
}

/** Verifies a home and answers what it found. */
export function check(ports: {
  readonly store: Store
  readonly blobs: Blobs
  readonly vault: Parameters<typeof verify>[0]['vault']
  unwrap: Parameters<typeof verify>[0]['unwrap']
}) {
  return {
    async findings(known: Parameters<typeof verify>[2] = []) {
      const findings: Finding[] = []
      const verified = await verify(
        { ...ports, families: rowFamilies },
        { finding: (one) => findings.push(one) },
        known,
      )
      if (verified.findings !== findings.length) throw new Error('the count is not the number of findings')
      return { findings, verified }
    },
  }
}

export function checkHome(disk: Disk, { store, blobs }: { readonly store: Store; readonly blobs: Blobs }) {
  const keyring = keyringOf(disk)
  return check({ store, blobs, unwrap: keyring.unwrap, vault: openVault({ store, keyring, random }) })
}

export async function rowsOf(store: Store): Promise<readonly StoredRow[]> {
  const rows: StoredRow[] = []
  for await (const row of store.snapshot()) rows.push(row)
  return rows
}

/** A disk of its own with the same contents. */
export function copied({ clock, store, blobs, master }: Disk): Disk {
  return { clock, store: store.snapshot() as Disk['store'], blobs: new Map(blobs), master }
}

/** Lets something happen again and again while `work` goes on, a bounded number of times; ends it whatever becomes of the work. */
export async function during<T>(
  happens: (round: number) => Promise<unknown>,
  work: (stop: () => Promise<void>) => Promise<T>,
): Promise<T> {
  let going = true
  const happening = (async () => {
    for (let round = 0; going && round < 60; round++) {
      await happens(round)
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  const stop = async () => {
    going = false
    await happening
  }
  try {
    return await work(stop)
  } finally {
    await stop()
  }
}

/** Rows by name with a digest of all they are, without those about the home itself. */
export async function contentsOf(store: Store): Promise<readonly string[]> {
  const rows = (await rowsOf(store)).filter((row) => row.kind !== 'entry' || !row.key.startsWith('upkeep/'))
  return rows.map((row) => `${rowName(row)} ${createHash('sha256').update(encodeRow(row)).digest('hex')}`)
}
