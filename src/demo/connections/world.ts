import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../../cli/program.js'
import type { Config } from '../../config/settings.js'
import type { AccessRule, Permission, RuleSets } from '../../direct/access.js'
import type { DirectAddress } from '../../direct/address.js'
import type { RecordItemType } from '../../direct/clinical.js'
import type { House } from '../../house.js'
import { openOperator } from '../../operator.js'
import { type DemoGateway, openGateway } from '../gateway.js'
import { listenForMail } from '../mail.js'
import { type Credentials, type OpenSsl, openSsl } from '../openssl.js'
import { gatewayDomain, sender } from '../story.js'
import { type ApplicationKey, newKey } from './application.js'
import { type Browser, openBrowser } from './browser.js'
import { type Letters, lettersIn } from './letters.js'
import { must } from './steps.js'

/** An application as its maker knows it. */
export interface Application {
  readonly id: string
  readonly name: string
  readonly key: ApplicationKey
}

export interface Applications {
  /** A page on the web that a person signs in with. */
  readonly web: Application
  /** The maker of an app for telephones: it vouches for installations. */
  readonly maker: Application
  /** A clinic whose program asks patients to connect, and leaves documents. */
  readonly clinic: Application
}

/** A running gateway with everybody who has to do with it. */
export interface World extends Applications {
  /** Where browsers and applications see it. */
  readonly origin: string
  readonly smtpPort: number
  readonly letters: Letters
  readonly openssl: OpenSsl
  /** The doctor's own keys, made by OpenSSL. */
  readonly provider: Credentials
  /** File of the certificate that vouches for this gateway's addresses. */
  readonly authorityPath: string
  /** File of the certificate of one of our addresses, as directories outside would tell it; undefined where there is none yet. */
  published(address: DirectAddress): Promise<string | undefined>
  newBrowser(): Browser
  close(): Promise<void>
}

/** Passwords of everybody here; nothing else would let the curious look around. */
export const password = 'four words of a demo'

/** Where the web application is come back to. */
export const webRedirect = 'https://well.example/done'

/** A gateway on loopback, furnished by the commands that an operator has: an authority, a domain, whom it trusts, applications. */
export async function openWorld(folder: string): Promise<World> {
  const openssl = await openSsl(join(folder, 'far-side'))
  const hospital = await openssl.authority('hospital-authority')
  const provider = await openssl.leaf('provider', hospital, `email:${sender}`)
  const mail = await listenForMail()
  const authorityPath = join(folder, 'our-authority.pem')
  const settings = {
    DIRECT_GATEWAY_PEOPLE_SECOND_FACTOR: 'offered',
    DIRECT_GATEWAY_LETTERS_RELAY_HOST: '127.0.0.1',
    DIRECT_GATEWAY_LETTERS_RELAY_PORT: String(mail.port),
    DIRECT_GATEWAY_LETTERS_RELAY_TLS: 'off',
  }
  let applications: Applications | undefined
  let opened: DemoGateway
  try {
    opened = await openGateway(folder, mail.port, settings, async (house, config) => {
      applications = await furnish(house, config, { folder, hospital, provider, authorityPath })
    })
  } catch (error) {
    mail.close()
    throw error
  }
  must(applications !== undefined, 'the gateway was not furnished')
  const { gateway, house } = opened
  const origin = gateway.httpUrl.replace('127.0.0.1', 'localhost')
  return {
    ...{ ...applications, origin, openssl, provider, authorityPath, smtpPort: gateway.smtpPort },
    letters: lettersIn(mail.received),
    async published(address) {
      const certificate = (await house.directory.keys.list(address)).find(({ retired }) => !retired)?.certificate
      if (!certificate) return undefined
      const path = join(folder, `${address}.pem`)
      writeFileSync(path, new X509Certificate(certificate).toString())
      return path
    },
    newBrowser: () => openBrowser(origin),
    async close() {
      await opened.close()
      mail.close()
    },
  }
}

interface Furniture {
  readonly folder: string
  readonly hospital: Credentials
  readonly provider: Credentials
  readonly authorityPath: string
}

async function furnish(house: House, config: Config, furniture: Furniture): Promise<Applications> {
  const { folder, hospital, provider, authorityPath } = furniture
  const { operator, close } = openOperator(house, config)
  try {
    const run = async (...argv: string[]) => {
      let [out, err] = ['', '']
      const code = await runCommand([...argv, '--json'], {
        print: (text) => {
          out += text
        },
        printError: (text) => {
          err += text
        },
        readFile: async (path) => readFileSync(path),
        writeFile: async (path, bytes) => writeFileSync(path, bytes),
        withOperator: (_, work) => work(operator),
      })
      must(code === 0, `direct-gateway ${argv.join(' ')}: ${err}`)
      return out === '' ? {} : (JSON.parse(out) as Readonly<Record<string, unknown>>)
    }
    const authority = await run('authority', 'create', '--name', 'Patients of the demo', '--kind', 'p256')
    await run('authority', 'export', String(authority['id']), '--out', authorityPath)
    await run('domain', 'add', gatewayDomain, '--activation', 'open')
    await run('anchor', 'add', hospital.certificatePath, '--for', gatewayDomain)
    await run('peer', 'add', provider.certificatePath, '--for', sender)

    const add = async (
      kind: string,
      name: string,
      asks: Partial<RuleSets>,
      ...more: string[]
    ): Promise<Application> => {
      const key = newKey()
      const below = mkdtempSync(join(folder, 'application-'))
      const file = (what: string, content: object) => {
        const path = join(below, what)
        writeFileSync(path, JSON.stringify(content))
        return path
      }
      const rules = file('rules.json', { online: [], offline: [], ...asks })
      const keys = kind === 'web' ? [] : ['--jwks', file('keys.json', { keys: [key.jwk] })]
      const made = await run('app', 'add', kind, name, '--rules', rules, ...keys, ...more)
      return { id: String(made['id']), name, key }
    }
    return {
      web: await add('web', 'Well', webRules, '--redirect', webRedirect),
      maker: await add('master', 'Pocket Health', makerRules, '--may', 'register'),
      clinic: await add('clinic', 'Elm Street Practice', clinicRules, '--may', 'connect', 'drop-off'),
    }
  } finally {
    await close()
  }
}

function rule(
  name: string,
  en: string,
  permissions: readonly Permission[],
  types: readonly RecordItemType[],
  more: Pick<AccessRule, 'optional'> = {},
): AccessRule {
  return { name, reason: { en }, permissions, types, ...more }
}

const webRules: Partial<RuleSets> = {
  online: [
    rule('problems', 'To show your conditions in a plain overview', ['read'], ['problem']),
    rule('vitals', 'To draw your blood pressure over time', ['read'], ['vital-sign'], { optional: true }),
  ],
}

const makerRules: Partial<RuleSets> = {
  offline: [rule('problems', 'To have your conditions with you without a network', ['read'], ['problem'])],
}

const clinicRules: Partial<RuleSets> = {
  offline: [rule('problems', 'To know your conditions before you come', ['read'], ['problem'])],
}
