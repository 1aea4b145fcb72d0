import { verifyChain } from './audit/audit.js'
import type { Operator } from './cli/operator.js'
import { parseAddress, parseDomain } from './direct/address.js'
import { clock, type House } from './house.js'
import { together } from './ports/store.js'
import { newRequest } from './smime/csr.js'
import { readPkcs12 } from './smime/pkcs12.js'
import { outboundQueue } from './spool/outbound.js'
import { inboundQueue } from './spool/spool.js'

/** What the operator's commands may do with an open house. `nudge` tells a running gateway that there is mail to judge. */
export function operatorOf(house: House, nudge: () => void = () => undefined): Operator {
  const { store, directory, trail, quarantine, audit } = house
  return {
    directory,
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
        nudge()
        return outcome.kind === 'committed'
      },
      purge: (olderThanMs) => quarantine.purge(olderThanMs),
    },
    queues: {
      async list(limit) {
        const queues = await Promise.all(
          [inboundQueue, outboundQueue].map(async (queue) =>
            (await store.jobs(queue, limit)).map(({ id, dueAt, attempt, held }) => ({
              queue,
              id,
              dueAt,
              attempt,
              held,
            })),
          ),
        )
        return queues.flat()
      },
    },
    audit: {
      async verify() {
        const verdict = await verifyChain(store)
        return verdict.kind === 'whole' ? { kind: 'intact', entries: verdict.head.sequence } : verdict
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
      async request(owner, bits) {
        const asks = owner.includes('@') ? parseAddress(owner) : parseDomain(owner)
        if (!asks) return { kind: 'refused', detail: `${owner} is neither an address nor a domain` }
        const { request, pkcs8 } = newRequest(asks, bits === 3072 ? 3072 : 2048)
        return { kind: 'made', csr: request, pkcs8 }
      },
    },
    clock,
  }
}
