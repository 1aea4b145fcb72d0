import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { loadConfig } from '../src/config/load.js'
import { startGateway } from '../src/gateway.js'
import { openHouse, random } from '../src/house.js'
import { createMasterKey, readMasterKey } from '../src/keyring/master-key.js'
import { openLog } from '../src/observe/log.js'

/** The gateway of the whole-path bench, in a process of its own. Mail that goes out ends where the network would begin. */

/** What the parent says first: whom to serve, with which key, trusting whom; base64 DER. */
interface Furniture {
  readonly folder: string
  readonly domain: string
  readonly address: string
  readonly certificate: string
  readonly pkcs8: string
  readonly anchor: string
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
const tell = (message: unknown) => process.send?.(message)

process.once('message', async (furniture: Furniture) => {
  const { folder, domain, address } = furniture
  const env = {
    DIRECT_GATEWAY_DATA_DIR: join(folder, 'data'),
    DIRECT_GATEWAY_SMTP_HOST: '127.0.0.1',
    DIRECT_GATEWAY_SMTP_PORT: '0',
    DIRECT_GATEWAY_HTTP_PORT: '0',
    DIRECT_GATEWAY_OUTBOUND_CONNECTIONS_PER_DOMAIN: '64',
  }
  const loaded = await loadConfig({ env, cwd: folder, readFile: () => Promise.reject(new Error('no file')) })
  if (loaded.kind === 'problems') throw new Error(JSON.stringify(loaded.problems))
  const key = readMasterKey(createMasterKey(random))
  if (key.kind === 'refused') throw new Error(key.detail)
  const house = await openHouse(loaded.config, key.key)
  const { directory } = house
  await directory.domains.add(domain, 'bench')
  await directory.addresses.add(address, 'patient', 'bench')
  await directory.keys.add(
    { owner: domain, certificate: bytes(furniture.certificate), pkcs8: bytes(furniture.pkcs8) },
    'bench',
  )
  await directory.anchors.add({ owner: domain, certificate: bytes(furniture.anchor), direction: 'both' }, 'bench')

  const delay = monitorEventLoopDelay({ resolution: 5 })
  let sealed = 0
  let cpu = process.cpuUsage()
  const gateway = await startGateway(house, loaded.config, key.key, openLog({ level: 'error' }), {
    attempt: async () => {
      sealed++
      return { kind: 'delivered', host: 'nowhere', reply: '250' }
    },
  })
  delay.enable()
  process.on('message', async (ask: string) => {
    if (ask === 'count') tell({ sealed })
    if (ask === 'reset') {
      delay.reset()
      cpu = process.cpuUsage()
    }
    const { user, system } = process.cpuUsage(cpu)
    if (ask === 'stalls')
      tell({
        cpuMs: (user + system) / 1000,
        p99Ms: delay.percentile(99) / 1e6,
        maxMs: delay.max / 1e6,
        rssMiB: process.memoryUsage.rss() / 2 ** 20,
      })
    if (ask === 'times') {
      // When each message was accepted, and when its notice was sealed and would have left.
      const accepted = new Map<string, number>()
      const waits: number[] = []
      for (let from = 1; ; ) {
        const page = await house.store.log('audit', from, 1000)
        for (const { value } of page) {
          const { action, at, subject } = JSON.parse(Buffer.from(value).toString()) as {
            action: string
            at: number
            subject: { spool?: string }
          }
          if (action === 'message.accept') accepted.set(subject.spool ?? '', at)
          if (action === 'notice.send') waits.push(at - (accepted.get(subject.spool ?? '') ?? at))
        }
        if (page.length < 1000) break
        from += page.length
      }
      tell({ waits })
    }
    if (ask === 'stop') {
      await gateway.close()
      await house.store.close()
      process.exit(0)
    }
  })
  tell({ port: gateway.smtpPort })
})
