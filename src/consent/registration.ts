import type { RuleSets } from '../direct/access.js'
import { type App, type AppRequest, appKinds, appPowers } from './consent.js'
import { faultsOfKeys } from './keys.js'
import { consentLimits } from './limits.js'
import { isNetwork } from './networks.js'
import type { AppFault } from './problem.js'
import { faultOfRedirect, faultOfUrl } from './redirect.js'
import { covers, faultsOfRules, isText } from './rules.js'

const urls = ['jwksUri', 'url', 'logoUrl', 'privacyUrl', 'termsUrl', 'webhookUrl'] as const

/** What is wrong with what an application is registered with, by itself; nothing where it is valid. */
export function faultsOfRequest(request: AppRequest): readonly AppFault[] {
  const { kind, name, redirectUris = [], rules, jwks, successMessage, may = [], networks = [] } = request
  const faults: AppFault[] = []
  const unless = (holds: boolean, where: string, detail: string) => {
    if (!holds) faults.push({ where, detail })
  }
  unless(appKinds.includes(kind), 'kind', `One of ${appKinds.join(', ')}`)
  unless(
    isText(name, consentLimits.nameCharacters),
    'name',
    `1 to ${consentLimits.nameCharacters} characters on one line`,
  )
  if (rules !== undefined) faults.push(...faultsOfRules(rules))
  if (jwks !== undefined) faults.push(...faultsOfKeys(jwks))
  unless(jwks === undefined || request.jwksUri === undefined, 'jwksUri', 'Keys, or where they are: not both')
  for (const member of urls) {
    const detail = request[member] === undefined ? undefined : faultOfUrl(request[member])
    if (detail !== undefined) faults.push({ where: member, detail })
  }
  unless(
    successMessage === undefined || isMessage(successMessage),
    'successMessage',
    `1 to ${consentLimits.messageCharacters} characters`,
  )
  unless(isSet(may) && may.every((power) => appPowers.includes(power)), 'may', `Of ${appPowers.join(', ')}`)
  unless(isSet(networks) && networks.length <= consentLimits.networks, 'networks', `At most ${consentLimits.networks}`)
  for (const [index, network] of networks.entries())
    unless(isNetwork(network), `networks.${index}`, 'A network such as 192.0.2.0/24 or 2001:db8::/32')
  return [...faults, ...faultsOfRedirects(kind, redirectUris), ...faultsOfKind(request)]
}

function faultsOfRedirects(kind: App['kind'], uris: readonly string[]): readonly AppFault[] {
  if (uris.length === 0) return []
  const where = 'redirectUris'
  if (kind !== 'web' && kind !== 'native') return [{ where, detail: 'Only a web or native app is come back to' }]
  if (uris.length > consentLimits.redirectUris) return [{ where, detail: `At most ${consentLimits.redirectUris}` }]
  if (!isSet(uris)) return [{ where, detail: 'Each once' }]
  return uris.flatMap((uri, index) => {
    const detail = faultOfRedirect(uri, kind)
    return detail === undefined ? [] : [{ where: `${where}.${index}`, detail }]
  })
}

/** What only some kinds may have: method groups are for servers, an installation takes all from its master. */
function faultsOfKind({ kind, master, rules, may = [], jwks, jwksUri }: AppRequest): readonly AppFault[] {
  const faults: AppFault[] = []
  if (kind === 'native' && may.length > 0)
    faults.push({
      where: 'may',
      detail: 'Not for native apps: Patient Connect, drop-off and registering are for servers',
    })
  if (kind === 'master' && master !== undefined) faults.push({ where: 'master', detail: 'A master has no master' })
  if (kind === 'native' && master !== undefined && rules !== undefined)
    faults.push({ where: 'rules', detail: "An installation has its master's rules" })
  if (kind !== 'master' && may.includes('register'))
    faults.push({ where: 'may', detail: 'Only a master registers others' })
  if (may.length > 0 && jwks === undefined && jwksUri === undefined && master === undefined)
    faults.push({ where: 'jwks', detail: 'Whoever comes without a person proves itself with a key' })
  return faults
}

/** What a child asks for beyond its master. */
export function faultsOfChild(
  { rules, may }: { readonly rules?: RuleSets; readonly may: App['may'] },
  master: App,
): readonly AppFault[] {
  const faults: AppFault[] = []
  for (const set of ['online', 'offline'] as const)
    for (const [index, rule] of (rules?.[set] ?? []).entries())
      if (!covers(master.rules[set], rule))
        faults.push({ where: `rules.${set}.${index}`, detail: 'More than the rules of its master' })
  if (!may.every((power) => master.may.includes(power)))
    faults.push({ where: 'may', detail: 'More than its master may do' })
  return faults
}

/** Words for people over several lines. */
function isMessage(text: string): boolean {
  return (
    text.length <= consentLimits.messageCharacters &&
    text.split('\n').every((line) => line === '' || isText(line, 1000))
  )
}

function isSet(values: readonly string[]): boolean {
  return new Set(values).size === values.length
}
