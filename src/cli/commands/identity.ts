import { type Command, Option } from 'commander'
import { parseAddress, parseDomain } from '../../direct/address.js'
import {
  type Address,
  type Addresses,
  type Domain,
  type ProofingLevel,
  proofingLevels,
} from '../../directory/directory.js'
import type { DomainPolicy } from '../../directory/policy.js'
import { actOnGateway, operatorName, orFail, type Session, sayDone } from '../command.js'
import { CommandFailed, type Context, exitCodes, type GlobalOptions } from '../operator.js'
import { printRow, printRows, type Row } from '../table.js'

interface PolicyOptions {
  readonly routingTamper?: DomainPolicy['routingTamper']
  readonly allowSha1?: string
  readonly revocation?: DomainPolicy['revocation']
  readonly requirePublishedRevocation?: string
  readonly requireEmailProtection?: string
  readonly requiredPolicies?: string
  readonly identityProofing?: DomainPolicy['identityProofing']
  readonly activation?: DomainPolicy['activation']
}

/** `domain add|list|set|remove`: whom we serve, and what each domain demands. */
export function domainCommands(program: Command, session: Session): void {
  const domain = program.command('domain').description('domains this gateway serves')

  actOnGateway<PolicyOptions>(
    withPolicy(domain.command('add <domain>').description('serve a domain')),
    session,
    async ({ directory }, context, options, [name = '']) => {
      const added = orFail(await directory.domains.add(name, operatorName, policyOf(options)))
      return sayDone(context, options, `Serving ${added.domain.domain}.`, domainRow(added.domain))
    },
  )

  actOnGateway(
    domain.command('list').description('list them with their policies'),
    session,
    async ({ directory }, context, { json = false }) => {
      const rowOf = json ? domainRow : shortRow
      printRows(context, json, (await directory.domains.list()).map(rowOf), 'No domains yet.')
      return exitCodes.done
    },
  )

  actOnGateway<PolicyOptions>(
    withPolicy(domain.command('set <domain>').description('change the policy of a domain')),
    session,
    async ({ directory }, context, options, [name = '']) => {
      const change = policyOf(options)
      if (Object.keys(change).length === 0)
        throw new CommandFailed('name at least one policy to change, see --help', exitCodes.usage)
      const changed = orFail(await directory.domains.setPolicy(domainArgument(name), change, operatorName))
      printRow(context, options.json === true, domainRow(changed.domain))
      return exitCodes.done
    },
  )

  actOnGateway(
    domain.command('remove <domain>').description('stop serving a domain that has no addresses'),
    session,
    async ({ directory }, context, options, [name = '']) => {
      orFail(await directory.domains.remove(domainArgument(name), operatorName))
      return sayDone(context, options, `No longer serving ${name}.`, { removed: name })
    },
  )
}

function withPolicy(command: Command): Command {
  return command
    .addOption(
      new Option('--routing-tamper <policy>', 'envelope that disagrees with the signed header').choices([
        'strict',
        'warn',
      ]),
    )
    .addOption(new Option('--allow-sha1 <answer>', 'accept signatures over SHA-1').choices(['yes', 'no']))
    .addOption(new Option('--revocation <policy>', 'when revocation cannot be learnt').choices(['soft', 'hard', 'off']))
    .addOption(
      new Option('--require-published-revocation <answer>', 'under hard: refuse where nobody publishes it').choices(
        yesNo,
      ),
    )
    .addOption(
      new Option('--require-email-protection <answer>', 'refuse certificates for other purposes than e-mail').choices(
        yesNo,
      ),
    )
    .option('--required-policies <oids>', 'policy OIDs, with commas, of which a path needs one; or none')
    .addOption(
      new Option('--identity-proofing <level>', 'proof of identity without which an address takes no mail').choices([
        'none',
        ...proofingLevels,
      ]),
    )
    .addOption(
      new Option('--activation <answer>', 'whether people take addresses themselves, and newuser@ takes mail').choices([
        'open',
        'closed',
      ]),
    )
}

const yesNo = ['yes', 'no']

function policyOf(options: PolicyOptions): Partial<DomainPolicy> {
  const { routingTamper, allowSha1, revocation, requirePublishedRevocation, requireEmailProtection } = options
  const { requiredPolicies, identityProofing, activation } = options
  return {
    ...(routingTamper && { routingTamper }),
    ...(allowSha1 && { allowSha1: allowSha1 === 'yes' }),
    ...(revocation && { revocation }),
    ...(requirePublishedRevocation && { requirePublishedRevocation: requirePublishedRevocation === 'yes' }),
    ...(requireEmailProtection && { requireEmailProtection: requireEmailProtection === 'yes' }),
    ...(requiredPolicies && { requiredPolicies: requiredPolicies === 'none' ? [] : requiredPolicies.split(',') }),
    ...(identityProofing && { identityProofing }),
    ...(activation && { activation }),
  }
}

function domainRow({ domain, policy, createdAt }: Domain): Row {
  return { domain, ...policy, rules: policy.rules.map(({ name }) => name), createdAt }
}

/** What a table has room for. */
function shortRow({ domain, policy, createdAt }: Domain): Row {
  const { routingTamper, allowSha1, revocation } = policy
  return { domain, routingTamper, allowSha1, revocation, createdAt, rules: policy.rules.length }
}

function domainArgument(name: string) {
  const domain = parseDomain(name)
  if (!domain) throw new CommandFailed(`${name} is no domain name`, exitCodes.usage)
  return domain
}

/** `address add|list|proof|unproof|edge|enable|disable|remove`. */
export function addressCommands(program: Command, session: Session): void {
  const address = program.command('address').description('addresses this gateway serves')

  actOnGateway<{ readonly kind: 'patient' | 'provider'; readonly record?: string }>(
    address
      .command('add <address...>')
      .description('serve addresses of a served domain')
      .addOption(new Option('--kind <kind>', 'whose it is').choices(['patient', 'provider']).default('patient'))
      .option('--record <id>', "join the record of a patient's other address"),
    session,
    async ({ directory }, context, options, names) => {
      const rows: Row[] = []
      for (const name of names) {
        const joined = options.record === undefined ? {} : { record: options.record }
        const added = orFail(await directory.addresses.add(name, options.kind, operatorName, joined))
        rows.push(await addressRow(directory.addresses, added.address))
      }
      printRows(context, options.json === true, rows, '')
      return exitCodes.done
    },
  )

  actOnGateway<{ readonly domain?: string }>(
    address.command('list').description('list them').option('--domain <domain>', 'of one domain'),
    session,
    async ({ directory }, context, options) => {
      const rows: Row[] = []
      const { addresses } = directory
      for await (const found of everyAddress(addresses, options.domain)) rows.push(await addressRow(addresses, found))
      printRows(context, options.json === true, rows, 'No addresses yet.')
      return exitCodes.done
    },
  )

  actOnGateway<{ readonly level: ProofingLevel; readonly method: string }>(
    address
      .command('proof <address>')
      .description('vouch for the person behind it; where the domain demands it, mail is taken only then')
      .addOption(
        new Option('--level <level>', 'identity assurance (NIST SP 800-63A)')
          .choices([...proofingLevels])
          .makeOptionMandatory(),
      )
      .requiredOption('--method <words>', 'how, in a few words: never the number of a document'),
    session,
    async ({ directory }, context, options, [given = '']) => {
      const { level, method } = options
      orFail(await directory.addresses.prove(addressArgument(given), { level, method }, operatorName))
      return sayDone(context, options, `Vouched for ${given} at ${level}.`, { proof: given, level })
    },
  )

  actOnGateway(
    address
      .command('edge <address> <system>')
      .description('hand what arrives for it to a system of edge.systems as well, or to none; the mailbox keeps it'),
    session,
    async ({ directory, edgeSystems }, context, options, [given = '', system = '']) => {
      const edge = system === 'none' ? undefined : system
      if (edge !== undefined && !edgeSystems.includes(edge))
        throw new CommandFailed(`edge.systems has no ${edge}; name it there first`, exitCodes.refused)
      orFail(await directory.addresses.setEdge(addressArgument(given), edge, operatorName))
      const said = edge === undefined ? `Mail for ${given} stays here.` : `Mail for ${given} goes on to ${edge}.`
      return sayDone(context, options, said, { address: given, edge })
    },
  )

  const change = (
    name: string,
    description: string,
    done: string,
    work: (addresses: Addresses, address: Address['address']) => ReturnType<Addresses['remove']>,
  ) =>
    actOnGateway(
      address.command(`${name} <address>`).description(description),
      session,
      async ({ directory }, context: Context, options: GlobalOptions, [given = '']) => {
        orFail(await work(directory.addresses, addressArgument(given)))
        return sayDone(context, options, `${done} ${given}.`, { [name]: given })
      },
    )
  change('disable', 'take no mail for it and open no session; its mail stays', 'Disabled', (addresses, given) =>
    addresses.setDisabled(given, true, operatorName),
  )
  change('enable', 'undo disable', 'Enabled', (addresses, given) => addresses.setDisabled(given, false, operatorName))
  change('unproof', 'take back what was vouched for', 'No longer vouching for', (addresses, given) =>
    addresses.unprove(given, operatorName),
  )
  change('remove', 'stop serving it', 'Removed', (addresses, given) => addresses.remove(given, operatorName))
}

async function* everyAddress(addresses: Addresses, domain: string | undefined): AsyncIterable<Address> {
  const filter = domain === undefined ? {} : { domain: domainArgument(domain) }
  for (let after: string | undefined; ; ) {
    const page = await addresses.list({ ...filter, limit: 1_000, ...(after !== undefined && { after }) })
    yield* page.items
    if (page.next === undefined) return
    after = page.next
  }
}

async function addressRow(addresses: Addresses, found: Address): Promise<Row> {
  const { address, kind, mailbox, record, createdAt, proofing, edge } = found
  const standing = await addresses.standing(address)
  const state = standing === 'live' ? 'enabled' : (standing ?? 'not served')
  return { address, kind, state, mailbox, record, createdAt, proofing: proofing?.level, edge }
}

export function addressArgument(text: string): Address['address'] {
  const address = parseAddress(text)
  if (!address) throw new CommandFailed(`${text} is no plain address`, exitCodes.usage)
  return address
}
