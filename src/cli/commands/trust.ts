import { type Command, Option } from 'commander'
import { parseAddress, parseDomain } from '../../direct/address.js'
import type { AnchorRecord, AnchorWarning, CertificateRecord, Directory, Owner } from '../../directory/directory.js'
import type { Direction } from '../../ports/trust.js'
import { chosen } from '../choose.js'
import { actOnGateway, operatorName, orFail, type Session, sayDone, sayWarnings } from '../command.js'
import { CommandFailed, exitCodes } from '../operator.js'
import { readCertificates } from '../pem.js'
import { printRows, type Row } from '../table.js'
import { encryptionCommands } from './encryption.js'
import { explainCommand } from './explain.js'

const warnings: Readonly<Record<AnchorWarning, string>> = {
  expired: 'the anchor has expired',
  'not-yet-valid': 'the anchor is not valid yet',
  'not-an-authority': 'the anchor is not a certification authority: it can only vouch for itself',
}

/** `anchor`, `peer`, `issuer`: whom we trust, whom we can write to, and what lies between; `trust`: why. */
export function trustCommands(program: Command, session: Session): void {
  anchorCommands(program, session)
  peerCommands(program, session)
  issuerCommands(program, session)
  explainCommand(program, session)
}

function anchorCommands(program: Command, session: Session): void {
  const anchor = program.command('anchor').description('trust anchors of our domains and addresses')

  actOnGateway<{ readonly for: string; readonly direction: Direction }>(
    anchor
      .command('add <file>')
      .description('trust every certificate of a PEM file, or the one of a DER file')
      .requiredOption('--for <owner>', 'our domain or address that trusts it')
      .addOption(
        new Option('--direction <direction>', 'mail it vouches for').choices(['in', 'out', 'both']).default('both'),
      ),
    session,
    async ({ directory }, context, options, [file = '']) => {
      const rows: Row[] = []
      for (const certificate of readCertificates(await context.readFile(file), file)) {
        const { for: owner, direction } = options
        const added = orFail(await directory.anchors.add({ owner, certificate, direction }, operatorName))
        sayWarnings(
          context,
          added.warnings.map((warning) => `${added.anchor.subject}: ${warnings[warning]}`),
        )
        rows.push(anchorRow(added.anchor))
      }
      printRows(context, options.json === true, rows, '')
      return exitCodes.done
    },
  )

  actOnGateway(
    anchor.command('list').description('list them'),
    session,
    async ({ directory }, context, { json = false }) => {
      printRows(context, json, (await directory.anchors.list()).map(anchorRow), 'No anchors yet: nobody is trusted.')
      return exitCodes.done
    },
  )

  removal(anchor, session, 'trust it no more', ({ anchors }) => anchors)
}

function peerCommands(program: Command, session: Session): void {
  const peer = program.command('peer').description("other people's certificates, to encrypt to")

  actOnGateway<{ readonly for: string }>(
    peer
      .command('add <file>')
      .description('keep the certificates of a file, instead of looking them up')
      .requiredOption('--for <owner>', 'the address or domain of the peer'),
    session,
    async ({ directory }, context, options, [file = '']) => {
      const rows: Row[] = []
      for (const certificate of readCertificates(await context.readFile(file), file)) {
        const added = orFail(await directory.peers.add({ owner: options.for, certificate }, operatorName))
        rows.push(certificateRow(added.certificate))
      }
      printRows(context, options.json === true, rows, '')
      return exitCodes.done
    },
  )

  actOnGateway(
    peer.command('list').description('list them'),
    session,
    async ({ directory }, context, { json = false }) => {
      printRows(context, json, (await directory.peers.list()).map(certificateRow), 'No certificates of peers.')
      return exitCodes.done
    },
  )

  removal(peer, session, 'forget it', ({ peers }) => peers)
  encryptionCommands(peer, session)
}

function issuerCommands(program: Command, session: Session): void {
  const issuer = program.command('issuer').description('intermediate certificates, for paths that lack one; no trust')

  actOnGateway(
    issuer.command('add <file>').description('keep the certificates of a file'),
    session,
    async ({ directory }, context, options, [file = '']) => {
      const rows: Row[] = []
      for (const certificate of readCertificates(await context.readFile(file), file))
        rows.push(certificateRow(orFail(await directory.issuers.add(certificate, operatorName)).certificate))
      printRows(context, options.json === true, rows, '')
      return exitCodes.done
    },
  )

  actOnGateway(
    issuer.command('list').description('list them'),
    session,
    async ({ directory }, context, { json = false }) => {
      printRows(context, json, (await directory.issuers.list()).map(certificateRow), 'No issuer certificates.')
      return exitCodes.done
    },
  )

  actOnGateway(
    issuer.command('remove <id>').description('forget it'),
    session,
    async ({ directory }, context, options, [id = '']) => {
      const found = chosen(await directory.issuers.list(), id, undefined)
      orFail(await directory.issuers.remove(found.id, operatorName))
      return sayDone(context, options, `Removed ${found.id}.`, { removed: found.id })
    },
  )
}

/** `remove <id>` of a book whose entries have owners. */
function removal(
  parent: Command,
  session: Session,
  description: string,
  bookOf: (directory: Directory) => Directory['anchors'] | Directory['peers'],
): void {
  actOnGateway<{ readonly for?: string }>(
    parent.command('remove <id>').description(description).option('--for <owner>', 'where several owners have it'),
    session,
    async ({ directory }, context, options, [id = '']) => {
      const book = bookOf(directory)
      const all: readonly { readonly id: string; readonly owner: string }[] = await book.list()
      const found = chosen(all, id, options.for)
      orFail(await book.remove(ownerArgument(found.owner), found.id, operatorName))
      return sayDone(context, options, `Removed ${found.id} of ${found.owner}.`, { removed: found.id })
    },
  )
}

function ownerArgument(text: string): Owner {
  const owner = parseAddress(text) ?? parseDomain(text)
  if (!owner) throw new CommandFailed(`${text} is neither an address nor a domain`, exitCodes.usage)
  return owner
}

function anchorRow({ id, owner, direction, notBefore, notAfter, subject }: AnchorRecord): Row {
  return { id, owner, direction, notBefore, notAfter, subject }
}

function certificateRow({ id, owner, notBefore, notAfter, subject }: CertificateRecord): Row {
  return { id, owner, notBefore, notAfter, subject }
}
