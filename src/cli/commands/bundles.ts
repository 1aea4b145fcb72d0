import { type Command, Option } from 'commander'
import { readDuration, writeDuration } from '../../config/duration.js'
import { type DirectDomain, parseDomain } from '../../direct/address.js'
import type { BundleAnchor, BundleRecord, BundleSource, BundleUse } from '../../directory/directory.js'
import type { DirectoryRefusal } from '../../directory/problem.js'
import type { BundleFault, BundleRefused } from '../../pipeline/bundle-content.js'
import type { BundleKept, SourceWarning } from '../../pipeline/bundles.js'
import type { Direction } from '../../ports/trust.js'
import { actOnGateway, operatorName, orFail, type Session, sayDone, sayWarnings } from '../command.js'
import { CommandFailed, type Context, exitCodes, type GlobalOptions } from '../operator.js'
import { readCertificates } from '../pem.js'
import { printRow, printRows, type Row } from '../table.js'

interface SourceOptions {
  readonly url?: string
  readonly file?: string
  readonly signer?: string
  readonly refresh?: string
  readonly later?: boolean
}

const faults: Readonly<Record<BundleFault, string>> = {
  'not-fetched': 'The bundle could not be fetched.',
  unreadable: 'What came is no trust bundle.',
  empty: 'There is no certificate in the bundle.',
  'too-large': 'The bundle is too large.',
  'too-many': 'The bundle has too many certificates.',
  unsigned: 'The bundle is not signed, and a signer is configured.',
  'signature-invalid': 'The signature of the bundle does not hold.',
  'signer-not-trusted': 'The bundle is not signed by whom it should be.',
  'signer-undecided': 'Whether the signer of the bundle may be believed cannot be learnt now; repeat it later.',
  older:
    'The bundle was signed before the one in force; where the community means it, `bundle change` takes it as it is.',
  'not-kept': 'No certificate of the bundle could be taken.',
}

const warnings: Readonly<Record<SourceWarning, string>> = {
  'signature-not-checked': 'the bundle is signed, and nobody knows by whom it should be: name its signer with --signer',
  'fetched-in-the-clear':
    'the bundle comes over plain http and no signer is named: whoever sits in between decides whom you trust',
  'certificates-unreadable': 'the bundle has certificates that do not read; they were left out',
  'metadata-unreadable': 'the bundle has metadata that do not read; they were left out',
}

/** `bundle`: the trust anchors of communities, loaded again and again from where the community keeps them. */
export function bundleCommands(program: Command, session: Session): void {
  const bundle = program.command('bundle').description('trust bundles: anchors as a community keeps them')
  addAndChange(bundle, session)
  looking(bundle, session)
  using(bundle, session)
}

function withSource(command: Command): Command {
  return command
    .option('--url <url>', 'where it is fetched')
    .option('--file <file>', 'the bundle itself')
    .option('--signer <file>', 'certificate of who must have signed it, or of the authority above him')
    .option('--refresh <interval>', 'how often it is fetched, a day at most: 1h')
    .option('--later', 'do not load it now')
}

function addAndChange(bundle: Command, session: Session): void {
  actOnGateway<SourceOptions & { readonly for?: string; readonly direction: Direction }>(
    withSource(bundle.command('add <name>').description('load a bundle and keep it'))
      .option('--for <domain>', 'our domain that trusts it; further ones with attach')
      .addOption(
        new Option('--direction <direction>', 'mail it vouches for').choices(['in', 'out', 'both']).default('both'),
      ),
    session,
    async ({ bundles }, context, options, [name = '']) => {
      if ((options.url === undefined) === (options.file === undefined))
        throw new CommandFailed('give either --url or --file', exitCodes.usage)
      const { for: domain, direction } = options
      const uses: readonly BundleUse[] = domain === undefined ? [] : [{ domain: domainOf(domain), direction }]
      const kept = await bundles.add({ name, uses, ...(await sourceOf(context, options)) }, operatorName)
      return sayKept(context, options, kept)
    },
  )

  actOnGateway<SourceOptions>(
    withSource(
      bundle.command('change <name>').description('another place, file, signer or interval for it; loads it so'),
    ),
    session,
    async ({ bundles }, context, options, [name = '']) => {
      const kept = await bundles.change({ name, ...(await sourceOf(context, options)) }, operatorName)
      return sayKept(context, options, kept)
    },
  )

  actOnGateway(
    bundle.command('refresh <name>').description('load it now'),
    session,
    async ({ bundles }, context, options, [name = '']) => {
      const done = await bundles.refresh(name, operatorName)
      if (done.kind === 'refused') orFail(done)
      if (done.kind === 'failed') throw new CommandFailed(`${words(done)} The anchors in force stay.`)
      if (done.kind !== 'replaced')
        return sayDone(context, options, `${name} is as it was.`, { bundle: name, added: [], removed: [] })
      sayWarnings(
        context,
        done.warnings.map((warning) => warnings[warning]),
      )
      const { added, removed } = done
      const sentence = `${name}: ${added.length} anchors added, ${removed.length} removed.`
      return sayDone(context, options, sentence, { bundle: name, added, removed })
    },
  )
}

function looking(bundle: Command, session: Session): void {
  actOnGateway(
    bundle.command('list').description('list them with how loading went'),
    session,
    async ({ directory }, context, { json = false }) => {
      printRows(context, json, (await directory.bundles.list()).map(bundleRow), 'No trust bundles.')
      return exitCodes.done
    },
  )

  actOnGateway(
    bundle.command('show <name>').description('all about one, with its anchors'),
    session,
    async ({ directory }, context, { json = false }, [name = '']) => {
      const found = await directory.bundles.get(name)
      if (!found) throw new CommandFailed(`there is no bundle ${name}`)
      const anchors = await directory.bundles.anchorsOf(name)
      if (json) {
        context.print(`${JSON.stringify(wholeOf(found, anchors), null, 2)}\n`)
        return exitCodes.done
      }
      const { signer, copy, refreshMs } = found
      printRow(context, false, {
        ...bundleRow(found),
        refresh: writeDuration(refreshMs),
        signerSubject: signer?.subject,
        signerNotAfter: signer?.notAfter,
        signedBy: copy?.signedBy,
        signedAt: copy?.signedAt,
        digest: copy?.digest,
        leftOut: copy && copy.unreadable + copy.testOnly > 0 ? copy.unreadable + copy.testOnly : undefined,
        ...Object.fromEntries((copy?.metadata?.facts ?? []).slice(0, shownFacts)),
      })
      context.print('\n')
      printRows(context, false, anchors.map(anchorRow), 'No anchors yet.')
      return exitCodes.done
    },
  )
}

/** Of metadata so much is shown to people; JSON has all that was kept. */
const shownFacts = 20

function using(bundle: Command, session: Session): void {
  actOnGateway<{ readonly for: string; readonly direction: Direction }>(
    bundle
      .command('attach <name>')
      .description('let a domain of ours trust its anchors')
      .requiredOption('--for <domain>', 'our domain')
      .addOption(
        new Option('--direction <direction>', 'mail it vouches for').choices(['in', 'out', 'both']).default('both'),
      ),
    session,
    async ({ directory }, context, options, [name = '']) => {
      const { for: domain, direction } = options
      orFail(await directory.bundles.attach(name, domain, direction, operatorName))
      return sayDone(context, options, `${domain} trusts ${name}.`, { bundle: name, domain, direction })
    },
  )

  actOnGateway<{ readonly for: string }>(
    bundle
      .command('detach <name>')
      .description('let a domain trust its anchors no more')
      .requiredOption('--for <domain>', 'our domain'),
    session,
    async ({ directory }, context, options, [name = '']) => {
      const domain = domainOf(options.for)
      orFail(await directory.bundles.detach(name, domain, operatorName))
      return sayDone(context, options, `${domain} trusts ${name} no more.`, { bundle: name, domain })
    },
  )

  actOnGateway(
    bundle.command('remove <name>').description('forget it; the domains that used it trust its anchors no more'),
    session,
    async ({ directory }, context, options, [name = '']) => {
      orFail(await directory.bundles.remove(name, operatorName))
      return sayDone(context, options, `Removed ${name}.`, { removed: name })
    },
  )
}

async function sourceOf(
  context: Context,
  { url, file, signer, refresh, later }: SourceOptions,
): Promise<BundleSource & { readonly file?: Uint8Array; readonly later?: boolean }> {
  const refreshMs = refresh === undefined ? undefined : readDuration(refresh)
  if (refresh !== undefined && refreshMs === undefined)
    throw new CommandFailed(`${refresh} is no interval; write it as 30m, 6h or 1d`, exitCodes.usage)
  const certificates = signer === undefined ? [] : readCertificates(await context.readFile(signer), signer)
  if (certificates.length > 1) throw new CommandFailed(`${signer} holds several certificates; give one`)
  const [certificate] = certificates
  return {
    ...(url !== undefined && { url }),
    ...(file !== undefined && { file: await context.readFile(file) }),
    ...(certificate && { signer: certificate }),
    ...(refreshMs !== undefined && { refreshMs }),
    ...(later && { later }),
  }
}

function sayKept(context: Context, { json = false }: GlobalOptions, kept: BundleKept): number {
  if (kept.kind === 'refused') return refuse(kept)
  sayWarnings(
    context,
    kept.warnings.map((warning) => warnings[warning]),
  )
  printRow(context, json, bundleRow(kept.bundle))
  return exitCodes.done
}

function refuse(refusal: DirectoryRefusal | BundleRefused): never {
  if ('problem' in refusal) orFail(refusal)
  if (!('fault' in refusal)) throw new CommandFailed(refusal.detail)
  const later = refusal.fault === 'not-fetched' ? ' With --later it is kept, and loaded once it can be.' : ''
  throw new CommandFailed(words(refusal) + later)
}

function words({ fault, detail }: { readonly fault: BundleFault; readonly detail: string }): string {
  return `${faults[fault]}${detail ? ` (${detail})` : ''}`
}

function domainOf(text: string): DirectDomain {
  const domain = parseDomain(text)
  if (!domain) throw new CommandFailed(`${text} is no domain name`, exitCodes.usage)
  return domain
}

function bundleRow({ name, url, signer, copy, status, uses }: BundleRecord): Row {
  const { failure } = status
  return {
    name,
    from: url ?? 'file',
    signer: signer?.id.slice(0, 16),
    anchors: copy?.certificates ?? 0,
    uses: uses.map(({ domain, direction }) => `${domain}:${direction}`),
    loadedAt: copy?.loadedAt,
    confirmedAt: status.confirmedAt,
    nextAt: status.nextAt,
    failures: status.failures || undefined,
    failedAt: failure?.at,
    failure: failure && `${failure.fault}${failure.detail ? `: ${failure.detail}` : ''}`,
  }
}

function anchorRow({ id, subject, notBefore, notAfter, addedAt, warnings: found }: BundleAnchor): Row {
  return { id, notBefore, notAfter, addedAt, warnings: found, subject }
}

/** Everything, for programs: moments as ISO 8601, certificates by their ids. */
function wholeOf(
  { signer, copy, status, revision: _, job: __, ...bundle }: BundleRecord,
  anchors: readonly BundleAnchor[],
) {
  const { failure, validators: ___, ...moments } = status
  return {
    ...moment({ ...bundle }),
    ...(signer && { signer: moment({ id: signer.id, subject: signer.subject, notAfter: signer.notAfter }) }),
    ...(copy && { copy: moment({ ...copy }) }),
    status: { ...moment({ ...moments }), ...(failure && { failure: moment({ ...failure }) }) },
    anchors: anchors.map(({ certificate: ____, ...anchor }) => moment({ ...anchor })),
  }
}

function moment(facts: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [
      name,
      typeof value === 'number' && /(^at|At|notBefore|notAfter)$/.test(name) ? new Date(value).toISOString() : value,
    ]),
  )
}
