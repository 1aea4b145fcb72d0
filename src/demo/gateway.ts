import { join } from 'node:path'
import { loadConfig } from '../config/load.js'
import type { Config } from '../config/settings.js'
import { type Gateway, startGateway } from '../gateway.js'
import { type House, openHouse, random } from '../house.js'
import { createMasterKey, readMasterKey } from '../keyring/master-key.js'
import { openLog } from '../observe/log.js'
import { gatewayDomain } from './story.js'

/** Nothing of value is in hand when a demo ends. */
const graceMs = 500

export interface DemoGateway {
  readonly house: House
  readonly gateway: Gateway
  close(): Promise<void>
}

/**
 * A gateway on free ports of loopback, with its data below `folder`, whose outgoing mail all goes to `mailPort`. `more` are
 * further settings as the environment names them; `furnish` does what an operator does before the start.
 */
export async function openGateway(
  folder: string,
  mailPort: number,
  more: Readonly<Record<string, string>> = {},
  furnish: (house: House, config: Config) => Promise<void> = async () => undefined,
): Promise<DemoGateway> {
  const env = {
    ...storeSettings(),
    DIRECT_GATEWAY_DATA_DIR: join(folder, 'data'),
    DIRECT_GATEWAY_HOSTNAME: gatewayDomain,
    DIRECT_GATEWAY_SMTP_HOST: '127.0.0.1',
    DIRECT_GATEWAY_SMTP_PORT: '0',
    DIRECT_GATEWAY_HTTP_PORT: '0',
    DIRECT_GATEWAY_OUTBOUND_DEFAULT_ROUTE: `127.0.0.1:${mailPort}`,
    ...more,
  }
  const loaded = await loadConfig({ env, cwd: folder, readFile: () => Promise.reject(new Error('no file')) })
  if (loaded.kind === 'problems') throw new Error(JSON.stringify(loaded.problems))
  const key = readMasterKey(createMasterKey(random))
  if (key.kind === 'refused') throw new Error(key.detail)
  const house = await openHouse(loaded.config, key.key, { takesTestOnly: true })
  try {
    await furnish(house, loaded.config)
    const gateway = await startGateway(house, loaded.config, key.key, openLog({ level: 'error' }))
    return {
      ...{ house, gateway },
      async close() {
        await gateway.close(graceMs)
        await house.close()
      },
    }
  } catch (error) {
    await house.close()
    throw error
  }
}

/** Another store than the folder may be named by the environment, as for a gateway in earnest. */
function storeSettings(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => /^DIRECT_GATEWAY_(STORE|BLOBS)_/.test(name)))
}
