import { type Command, Option } from 'commander'
import { parseAddress, parseDomain } from '../../direct/address.js'
import type { Ending } from '../../pipeline/expiry.js'
import { type KeyKind, keyKinds } from '../../ports/arithmetic.js'
import type { AuthorityRecord, IssuedRecord } from '../../ports/authority.js'
import { type KeyUse, keyUses } from '../../ports/registrar.js'
import { actOnGateway, operatorName, type Session, sayDone } from '../command.js'
import { CommandFailed, exitCodes } from '../operator.js'
import { pem, readCertificateRequest } from '../pem.js'
import { printRow, printRows, type Row } from '../table.js'

interface CreateOptions {
  readonly name: string
  readonly kind: KeyKind
  readonly years?: string
  readonly onlyFor?: readonly string[]
  readonly standby?: boolean
}

/** `authority create|list|close|open|export|issue|issued`: certification authorities of our own. */
export function authorityCommands(program: Command, session: Session): void {
  const authority = program
    .command('authority')
    .description('certification authorities of our own, for private trust and for trying out')
  changes(authority, session)
  issuing(authority, session)
}

function changes(authority: Command, session: Session): void {
  actOnGateway<CreateOptions>(
    authority
      .command('create')
      .description('make one; the newest open one issues, the others go on signing their revocation lists')
      .requiredOption('--name <name>', 'what its certificate is named, such as with its year')
      .addOption(new Option('--kind <kind>', 'its key').choices([...keyKinds]).default('rsa-3072'))
      .option('--years <number>', 'how long it lives, 10 by default')
      .option('--only-for <domain...>', 'certify nothing outside these domains (name constraints)')
      .option('--standby', 'make it closed: give its certificate to partners first, then open it'),
    session,
    async (operator, context, options) => {
      const within = (options.onlyFor ?? []).map((name) => {
        const domain = parseDomain(name)
        if (!domain) throw new CommandFailed(`${name} is no domain name`, exitCodes.usage)
        return domain
      })
      const years = options.years === undefined ? {} : { years: Number(options.years) }
      const { name, kind, standby: closed = false } = options
      const asked = { name, kind, within, closed, ...years }
      const made = await operator.certificates.authority.create(asked, operatorName)
      if (made.kind !== 'created') throw new CommandFailed(made.detail)
      printRow(context, options.json === true, authorityRow(made.authority))
      return exitCodes.done
    },
  )

  actOnGateway(
    authority.command('list').description('list them, newest first'),
    session,
    async (operator, context, { json = false }) => {
      const rows = (await operator.certificates.authority.list()).map(authorityRow)
      printRows(context, json, rows, 'No authority yet.')
      return exitCodes.done
    },
  )

  for (const [name, words, done] of [
    ['close', 'issue no more with it; what it issued stays good', 'Closed'],
    ['open', 'issue with it, where it is the newest open one', 'Opened'],
  ] as const)
    actOnGateway(
      authority.command(`${name} <id>`).description(words),
      session,
      async (operator, context, options, [id = '']) => {
        const outcome = await operator.certificates.authority[name](id, operatorName)
        if (outcome.kind === 'refused') throw new CommandFailed(outcome.detail)
        return sayDone(context, options, `${done} ${id}.`, { [name]: id })
      },
    )

  actOnGateway<{ readonly out: string }>(
    authority
      .command('export <id>')
      .description('write its certificate, for peers to add as an anchor')
      .requiredOption('--out <file>', 'where to write it, in PEM'),
    session,
    async (operator, context, options, [id = '']) => {
      const found = (await operator.certificates.authority.list()).find((one) => one.id === id)
      if (!found) throw new CommandFailed(`there is no authority ${id}`)
      await context.writeFile(options.out, Buffer.from(pem('CERTIFICATE', found.certificate)), 'open')
      const facts = { written: options.out, fingerprint: found.fingerprint }
      return sayDone(context, options, `Wrote ${options.out}: SHA-256 ${found.fingerprint}.`, facts)
    },
  )
}

function issuing(authority: Command, session: Session): void {
  actOnGateway<{ readonly csr: string; readonly for: string; readonly use: KeyUse; readonly out: string }>(
    authority
      .command('issue')
      .description('certify the key of a request that somebody brought; `key request` asks for our own')
      .requiredOption('--csr <file>', 'the request, in PEM or DER')
      .requiredOption('--for <owner>', 'the address or domain; the request must name it and nothing else')
      .addOption(new Option('--use <use>', 'what the key is for').choices([...keyUses]).default('both'))
      .requiredOption('--out <file>', 'where to write the certificate, in PEM'),
    session,
    async (operator, context, options) => {
      const owner = parseAddress(options.for) ?? parseDomain(options.for)
      if (!owner) throw new CommandFailed(`${options.for} is neither an address nor a domain`, exitCodes.usage)
      const request = readCertificateRequest(await context.readFile(options.csr), options.csr)
      const asked = { request, owner, use: options.use }
      const answer = await operator.certificates.authority.issue(asked, operatorName)
      if (answer.kind !== 'issued') throw new CommandFailed(answer.detail)
      const { certificate, serial } = answer.issued
      await context.writeFile(options.out, Buffer.from(pem('CERTIFICATE', certificate)), 'open')
      return sayDone(context, options, `Wrote ${options.out}, serial number ${serial}.`, { serial, out: options.out })
    },
  )

  actOnGateway(
    authority.command('issued').description('list what they issued'),
    session,
    async (operator, context, { json = false }) => {
      const rows: Row[] = []
      for (let after: IssuedRecord | undefined; ; ) {
        const page = await operator.certificates.authority.issued(after)
        rows.push(...page.map(issuedRow))
        after = page.at(-1)
        if (!after) break
      }
      printRows(context, json, rows, 'Nothing issued yet.')
      return exitCodes.done
    },
  )
}

/** `expiry`: what ends, soonest first. */
export function expiryCommand(program: Command, session: Session): void {
  actOnGateway<{ readonly within: string }>(
    program
      .command('expiry')
      .description(
        'what ends when: keys and their chains, authorities, lists, anchors, certificates of others, TLS files',
      )
      .option('--within <days>', 'only what ends so soon', '90'),
    session,
    async (operator, context, options) => {
      const days = Number(options.within)
      if (!Number.isFinite(days) || days < 0) throw new CommandFailed('--within is a number of days', exitCodes.usage)
      const now = operator.clock.now()
      const found: Ending[] = []
      for await (const one of operator.certificates.endings())
        if (one.notAfter - now <= days * 86_400_000) found.push(one)
      found.sort((a, b) => a.notAfter - b.notAfter)
      const rows = found.map((one) => endingRow(one, now))
      printRows(context, options.json === true, rows, `Nothing ends within ${days} days.`)
      return exitCodes.done
    },
  )
}

function authorityRow(record: AuthorityRecord): Row {
  const { id, subject, closed, notBefore, notAfter, fingerprint, list } = record
  const state = closed ? 'closed' : 'open'
  return { id, subject, state, notBefore, notAfter, list: list.number, listEndsAt: list.nextUpdate, fingerprint }
}

function issuedRow({ authority, serial, owner, use, issuedAt, notAfter, revoked }: IssuedRecord): Row {
  const state = revoked ? `revoked: ${revoked.reason}` : 'good'
  return { authority, serial, owner, use, state, issuedAt, notAfter }
}

function endingRow({ kind, owner, subject, notAfter, replaced, id }: Ending, now: number): Row {
  const days = Math.floor((notAfter - now) / 86_400_000)
  const state = replaced ? 'replaced' : days < 0 ? 'ended' : 'in use'
  return { kind, owner, days, notAfter, state, subject, id }
}
