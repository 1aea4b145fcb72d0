import { describe, expect, it } from 'vitest'
import { rowFamilies } from '../../src/operator.js'
import { openMemoryStore } from '../../src/store/memory.js'
import { createMemoryBlobs } from '../../src/store/memory-blobs.js'
import type { Change } from '../../src/store/ordered.js'
import { accept, type Disk, seal, work } from '../fixtures/gateway.js'
import { busyGateway, checkHome, copied, during, rowsOf } from './world.js'

describe('a whole installation', () => {
  it('has nothing to be found, and something of every family', async () => {
    const { findings, gateway } = await busyGateway()
    expect(await findings()).toMatchObject({ findings: [], verified: { findings: 0 } })
    const rows = await rowsOf(gateway.store)
    const met = rowFamilies.filter(({ kind, form }) =>
      rows.some(
        (row) =>
          row.kind === kind && form.test(row.kind === 'entry' ? row.key : row.kind === 'job' ? row.queue : row.log),
      ),
    )
    const never = rowFamilies.filter((family) => !met.includes(family)).map(({ name }) => name)
    expect(never).toEqual([
      'held message',
      'bytes of a held message',
      'who a held message is for',
      'record index', // written by releases before reconciliation only
      'client id of an item',
      'upload to a record',
      'blob of a record',
      'piece of a blob',
      'time of an upload',
      'retired address',
      'anchor',
      'peer certificate',
      'issuer',
      'token',
      'edge account',
      'pickup request',
      'pickup code',
      'external id of a pickup',
      'pickup in a list',
      'authorized pickup',
      'pickup ticket',
      'pickup to end',
      'event for an application',
      'certification authority',
      'revocation list of ours',
      'issued certificate',
      'revoked certificate',
      'answered certificate request',
      'proof of the master key',
      'transmission',
      'certificate asked for',
      'expiry warning',
      'certificate work',
      'letter',
      'content of plain mail',
      'application',
      'child of an application',
      'grant',
      'standing grant',
      'place of a grant in a list',
      'line of a history',
      'uploads of an application',
      'upload',
      'piece of an upload',
      'content of a package',
      'package',
      'health link',
      'health link in a list',
      'file of a health link',
      'authorization',
      'keys of the authorization server',
      'fetched evidence',
      'bytes of fetched evidence',
      'person',
      'e-mail address',
      'passkey',
      'session',
      'list of sessions',
      'ticket',
      'failures to sign in',
      'record and who has it',
      'list of records',
      'invitation',
      'list of invitations to an address',
      'list of invitations of a record',
      'what runs out for people',
      'mark of the home',
      'pause of the blob sweep',
    ])
  })

  it('is whole at every moment while mail is accepted, judged and judged again', async () => {
    const { findings, gateway } = await busyGateway()
    const traffic = async (i: number) => {
      const id = await accept(gateway, seal({ id: `traffic-${i}`, body: 'x'.repeat(i % 3 === 0 ? 400_000 : 10) }))
      await work(gateway)
      const again = await gateway.quarantine.judgeAgain(id)
      if (again && i % 2 === 0) await gateway.store.commit(again)
      await gateway.quarantine.purge(-1, 1 + (i % 4))
    }
    await during(traffic, async () => {
      for (let round = 0; round < 8; round++) expect((await findings()).findings).toEqual([])
    })
  })

  it('tells how far it is, and the head of the audit log', async () => {
    const { findings, gateway } = await busyGateway()
    const { verified } = await findings()
    expect(verified.rows).toBe((await rowsOf(gateway.store)).length)
    const last = (await gateway.store.log('audit', 1, 10_000)).at(-1)
    expect(verified.head).toEqual({ sequence: last?.sequence, link: Buffer.from(last?.link ?? []).toString('hex') })
    expect((await findings([verified.head])).findings).toEqual([])
  })
})

type Damage = (under: {
  readonly get: (prefix: string) => {
    readonly key: string
    readonly value: Uint8Array
    readonly all: readonly string[]
  }
  readonly blobs: Map<string, { readonly bytes: Uint8Array; at: number }>
}) => Change[]

const flipped = (value: Uint8Array, at = value.length - 1) => value.map((byte, i) => (i === at ? byte ^ 1 : byte))
const flip: (prefix: string) => Damage =
  (prefix) =>
  ({ get }) => {
    const { key, value } = get(prefix)
    return [{ type: 'put', key, value: flipped(value) }]
  }
const drop: (prefix: string) => Damage =
  (prefix) =>
  ({ get }) => [{ type: 'del', key: get(prefix).key }]
/** The first two rows under a prefix change places. */
const swap: (prefix: RegExp) => Damage =
  (form) =>
  ({ get }) => {
    const [a = '', b = ''] = get('data/').all.filter((key) => form.test(key))
    return [
      { type: 'put', key: a, value: get(b).value },
      { type: 'put', key: b, value: get(a).value },
    ]
  }

/** Planted damage, by what must be said of it. Keys as they lie below the store. */
const damages: readonly (readonly [name: string, damage: Damage, kind: string, row: RegExp])[] = [
  ['a byte of a mailbox row', flip('data/mailbox/%/mail/'), 'damaged', /mail\//],
  ['a byte of an original', flip('data/mailbox/%/original/'), 'damaged', /original\//],
  ['a byte of a record item', flip('data/record/%/item/'), 'damaged', /item\//],
  ['a byte of a document', flip('data/record/%/document/'), 'damaged', /document\//],
  ['a byte of a trail step', flip('data/trail/'), 'damaged', /^trail\//],
  ['a byte of a data key', flip('data/vault/'), 'damaged', /^vault\//],
  [
    'a byte of a private key',
    ({ get }) => {
      const { key, value } = get('data/directory/key/')
      const text = Buffer.from(value).toString('latin1')
      const at = text.indexOf('"wrapped":"') + 60
      return [
        {
          type: 'put',
          key,
          value: Buffer.from(text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1), 'latin1'),
        },
      ]
    },
    'damaged',
    /^directory\/key\//,
  ],
  [
    'an address cut in half',
    ({ get }) => {
      const { key, value } = get('data/directory/address/')
      return [{ type: 'put', key, value: value.subarray(0, value.length / 2) }]
    },
    'damaged',
    /^directory\/address\//,
  ],
  ['a byte of a spooled message', flip('job/inbound'), 'damaged', /^job inbound/],
  [
    'a byte of what is owed',
    ({ get }) => {
      const { key, value } = get('job/outbound')
      return [{ type: 'put', key, value: flipped(value) }]
    },
    'damaged',
    /^job outbound/,
  ],
  ['a byte of a refused body', flip('data/quarantine-body/'), 'damaged', /^quarantine-body\//],
  ['two bodies swapped', swap(/^data\/mailbox\/.*\/original\//), 'damaged', /original\//],
  ['two record items swapped', swap(/^data\/record\/.*\/item\//), 'damaged', /item\//],
  ['two mailbox pointers swapped', swap(/^data\/mailbox\/.*\/id\//), 'damaged', /id\//],
  ['a mailbox row lost', drop('data/mailbox/%/mail/'), 'missing', /id\//],
  ['a mailbox pointer lost', drop('data/mailbox/%/id/'), 'missing', /mail\//],
  ['an original lost', drop('data/mailbox/%/original/'), 'missing', /id\//],
  [
    'a message lost with all its rows',
    ({ get }) => {
      const id = get('data/mailbox/%/id/').key.split('/').at(-1) ?? ''
      return get('data/mailbox/')
        .all.filter((key) => key.startsWith('data/mailbox/') && key.endsWith(id))
        .map((key) => ({ type: 'del', key }))
    },
    'missing',
    /^log mailbox\//,
  ],
  ['a byte of a ledger', flip('data/record/%/ledger/'), 'damaged', /ledger\//],
  ['a byte of the head of a record', flip('data/record/%/head'), 'damaged', /head/],
  ['a record item lost', drop('data/record/%/item/'), 'missing', /ledger\//],
  ['a ledger lost', drop('data/record/%/ledger/'), 'missing', /head/],
  ['the head of a record lost', drop('data/record/%/head'), 'missing', /ledger\//],
  ['a document lost', drop('data/record/%/document/'), 'missing', /bytes\//],
  ['its bytes lost', drop('data/record/%/bytes/'), 'missing', /document\//],
  ['a refused message lost', drop('data/quarantine/'), 'missing', /^quarantine-b/],
  ['its place in the list lost', drop('data/quarantine-by-time/'), 'missing', /^quarantine\//],
  ['a seen row lost', drop('data/seen/'), 'missing', /^seen-by-time\//],
  ['a seen index lost', drop('data/seen-by-time/'), 'missing', /^seen\//],
  [
    'a trail lost',
    ({ get }) => {
      const id = get('data/trail-name/').key.split('/').at(-1) ?? ''
      return get('data/')
        .all.filter((key) => key.startsWith(`data/trail/${id}/`))
        .map((key) => ({ type: 'del', key }))
    },
    'missing',
    /^trail-name\//,
  ],
  ['a hold of a blob lost', drop('data/blob/'), 'missing', /./],
  [
    'a large job lost',
    ({ get }) => {
      const [, id = ''] =
        get('data/')
          .all.find((key) => /^data\/blob\/.*\/spool\//.test(key))
          ?.split('/spool/') ?? []
      return [{ type: 'del', key: `job/inbound\0${id}` }]
    },
    'missing',
    /^blob\/.*\/spool\//,
  ],
  [
    'a job lost whose try had begun',
    ({ get }) => [{ type: 'del', key: get('job/outbound').key }],
    'missing',
    /^delivery\/begun/,
  ],
  [
    'an audit entry dropped',
    ({ get }) => [{ type: 'del', key: get('log/audit').all.filter((key) => key.startsWith('log/audit'))[4] ?? '' }],
    'chain',
    /^log audit 6$/,
  ],
  [
    'an audit entry forged',
    ({ get }) => {
      const { key, value } = get('log/audit')
      const forged = Buffer.from(
        Buffer.from(value).toString('latin1').replace('operator', 'nobody__').replace('"test"', '"self"'),
        'latin1',
      )
      return [{ type: 'put', key, value: forged }]
    },
    'chain',
    /^log audit 1$/,
  ],
  [
    'a link of a mailbox log forged',
    ({ get }) => {
      const { key, value } = get('log/mailbox/')
      return [{ type: 'put', key, value: flipped(value, 3) }]
    },
    'chain',
    /^log mailbox\/.* 1$/,
  ],
  [
    'a blob cut',
    ({ blobs }) => {
      const [name = '', blob] = [...blobs][0] ?? []
      if (blob) blobs.set(name, { ...blob, bytes: blob.bytes.subarray(0, -1) })
      return []
    },
    'blob',
    /^blob\//,
  ],
  [
    'a blob lost',
    ({ blobs }) => {
      blobs.delete([...blobs.keys()][1] ?? '')
      return []
    },
    'blob',
    /^blob\//,
  ],
  [
    'a row of a family that nobody knows',
    () => [{ type: 'put', key: 'data/zebra/1', value: Buffer.of(1, 1) }],
    'unknown',
    /^zebra\/1$/,
  ],
  [
    'a job of a queue that nobody knows',
    () => [
      { type: 'put', key: 'job/zebras\0z', value: Buffer.of(1) },
      { type: 'put', key: 'due/zebras\x000000000000000001\0z', value: Buffer.of() },
    ],
    'unknown',
    /^job zebras z$/,
  ],
]

let made: Promise<Disk> | undefined
/** One installation for all damages: each is done to a copy. */
const pristine = () => (made ??= busyGateway().then(({ disk }) => disk))

describe('planted damage', () => {
  it('is none in a copy of the installation', async () => {
    const disk = copied(await pristine())
    const store = await openMemoryStore({ clock: disk.clock, disk: disk.store })
    const { findings } = await checkHome(disk, { store, blobs: createMemoryBlobs(disk.clock, disk.blobs) }).findings()
    expect(findings).toEqual([])
  })

  it.each(damages)('is found: %s', async (_, damage, kind, row) => {
    const disk = copied(await pristine())
    const keys = () => [...disk.store.contents.keys()].sort()
    const get = (prefix: string) => {
      const form = new RegExp(`^${prefix.replace('%', '[^/]+')}`)
      const key = keys().find((one) => form.test(one))
      if (key === undefined) throw new Error(`there is nothing under ${prefix}`)
      return { key, value: disk.store.contents.get(key) ?? new Uint8Array(), all: keys() }
    }
    const changes = damage({ get, blobs: disk.blobs })
    await disk.store.write(changes, true)
    const store = await openMemoryStore({ clock: disk.clock, disk: disk.store })
    const { findings } = await checkHome(disk, { store, blobs: createMemoryBlobs(disk.clock, disk.blobs) }).findings()
    expect(findings.map(({ kind, row }) => `${kind} ${row}`)).toContainEqual(
      expect.stringMatching(new RegExp(`^${kind} `)),
    )
    expect(findings.filter((one) => one.kind === kind).map((one) => one.row)).toContainEqual(expect.stringMatching(row))
  })

  it('that cuts off the end of the audit log is found through a head that was written down', async () => {
    const { disk, findings } = await busyGateway()
    const { verified } = await findings()
    const last =
      [...disk.store.contents.keys()]
        .filter((key) => key.startsWith('log/audit'))
        .sort()
        .at(-1) ?? ''
    await disk.store.write([{ type: 'del', key: last }], true)
    expect((await findings()).findings).toEqual([])
    expect((await findings([verified.head])).findings).toMatchObject([
      { kind: 'chain', detail: expect.stringMatching(/ends before entry/) },
    ])
  })
})
