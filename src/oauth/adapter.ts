import { createHmac } from 'node:crypto'
import type { Adapter, AdapterPayload } from 'oidc-provider'
import { errors } from 'oidc-provider'
import type { Store } from '../ports/store.js'
import { together } from '../ports/store.js'
import type { Clock } from '../ports/world.js'
import type { ClientMetadata } from './clients.js'
import type { Rows } from './rows.js'
import { rowKey } from './rows.js'

export interface AdapterPorts {
  readonly rows: Rows
  readonly store: Pick<Store, 'commit'>
  readonly clock: Clock
  /** A client by its id, as its application stands now. */
  client(id: string): Promise<ClientMetadata | undefined>
  /** Keys the digests of user codes: eight letters could be guessed from a plain one. */
  readonly userCodeKey: Uint8Array
}

/** Where the user code of a device is found. */
export function userCodeRow(key: Uint8Array, userCode: string): string {
  return `oauth/user-code/${createHmac('sha256', key).update(userCode).digest('hex')}`
}

/**
 * What oidc-provider keeps, over the Store port. Whatever is used once is used once among any number of processes: its row
 * must still have the version that was read. Tokens of a grant are good while the row of the grant is there, so that one
 * deletion ends them all.
 */
export function adapterFor(model: string, ports: AdapterPorts): Adapter {
  if (model === 'Client') return clientAdapter(ports)
  if (model === 'Session') return forgetful
  return rowAdapter(model, ports)
}

/** Applications are looked up anew for every use; they are not made here. */
function clientAdapter({ client }: AdapterPorts): Adapter {
  return { ...forgetful, find: async (id) => (await client(id)) as AdapterPayload | undefined }
}

/** People sign in at our own pages: the provider's own session begins and ends with each request. */
const forgetful: Adapter = {
  upsert: async () => undefined,
  find: async () => undefined,
  findByUid: async () => undefined,
  findByUserCode: async () => undefined,
  consume: async () => undefined,
  destroy: async () => undefined,
  revokeByGrantId: async () => undefined,
}

function rowAdapter(model: string, { rows, store, clock, userCodeKey }: AdapterPorts): Adapter {
  const read = async (id: string) => {
    const row = await rows.get(rowKey(model, id))
    return row && { ...row, payload: { ...row.payload, jti: id } as AdapterPayload }
  }

  return {
    ...forgetful,
    find: async (id) => (await read(id))?.payload,

    async findByUserCode(userCode) {
      const found = await rows.get(userCodeRow(userCodeKey, userCode))
      const id = found?.payload['deviceCode']
      return typeof id === 'string' ? (await read(id))?.payload : undefined
    },

    async upsert(id, { jti: _, aud: __, ...payload }, expiresIn = 0) {
      // There is one audience, this gateway; the provider would not let a token with one ask who the person is.
      const key = rowKey(model, id)
      const endsAt = clock.now() + expiresIn * 1000
      const kept = await rows.put(key, payload, endsAt)
      const once = model === 'ReplayDetection' ? { require: [{ key, version: 'absent' as const }] } : {}
      const found =
        model === 'DeviceCode' && payload.userCode !== undefined
          ? await rows.put(userCodeRow(userCodeKey, payload.userCode), { deviceCode: id }, endsAt)
          : {}
      const { kind } = await store.commit(together(once, kept, found))
      if (kind !== 'committed') throw new errors.InvalidGrant('replayed')
    },

    async consume(id) {
      for (;;) {
        const row = await read(id)
        if (!row) throw new errors.InvalidGrant('not found')
        if (row.payload.consumed) {
          // Somebody else was faster with the same secret: one of the two stole it (RFC 9700 §4.14.2).
          if (row.payload.grantId !== undefined) await store.commit({ del: [rowKey('Grant', row.payload.grantId)] })
          throw new errors.InvalidGrant('already used')
        }
        const { jti: _, ...payload } = row.payload
        const used = await rows.put(row.key, { ...payload, consumed: Math.floor(clock.now() / 1000) }, row.endsAt)
        const require = [{ key: row.key, version: row.version }]
        if ((await store.commit(together({ require }, used))).kind === 'committed') return
      }
    },

    async destroy(id) {
      await store.commit({ del: [rowKey(model, id)] })
    },

    async revokeByGrantId(grantId) {
      await store.commit({ del: [rowKey('Grant', grantId)] })
    },
  }
}
