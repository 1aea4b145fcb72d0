import { type Command, Option } from 'commander'
import type { Registration, RegistrationOutcome } from '../../pipeline/registration.js'
import { type KeyKind, keyKinds } from '../../ports/arithmetic.js'
import { type RevocationReason, revocationReasons } from '../../ports/authority.js'
import { type KeyUse, keyUses } from '../../ports/registrar.js'
import { chosen } from '../choose.js'
import { actOnGateway, operatorName, orFail, type Session, sayDone } from '../command.js'
import { CommandFailed, type Context, exitCodes, type GlobalOptions } from '../operator.js'
import { pem, readCertificates } from '../pem.js'
import { printRows, type Row } from '../table.js'

interface RequestOptions {
  readonly owner: string
  readonly use: KeyUse
  readonly kind: KeyKind
  readonly from: string
  readonly out?: string
}

/** `key request|requests|accept|withdraw|revoke`: keys that never leave the gateway, and their certificates. */
export function registrationCommands(key: Command, session: Session): void {
  asking(key, session)
  ending(key, session)
}

function asking(key: Command, session: Session): void {
  actOnGateway<RequestOptions>(
    key
      .command('request')
      .description('make a key that never leaves the gateway, and ask for its certificate')
      .requiredOption('--owner <owner>', 'the address or domain it will speak for')
      .addOption(
        new Option('--use <use>', 'one certificate for both, or a pair of single-use ones')
          .choices([...keyUses])
          .default('both'),
      )
      .addOption(
        new Option('--kind <kind>', 'the key; few peers know curves').choices([...keyKinds]).default('rsa-2048'),
      )
      .option('--from <registrar>', 'who certifies it: `own`, or `hand` for an authority outside', 'own')
      .option('--out <file>', 'where to write the request, for an authority outside'),
    session,
    async (operator, context, { from: registrar, ...options }) => {
      if (registrar === 'hand' && options.out === undefined)
        throw new CommandFailed('--from hand needs --out: the request is for you to carry', exitCodes.usage)
      const { owner, use, kind } = options
      const { registrations } = operator.certificates
      const outcome = await registrations.begin({ owner, use, kind, registrar }, operatorName)
      if (outcome.kind === 'waiting' && options.out !== undefined)
        await context.writeFile(options.out, requestFile(outcome.registration), 'open')
      return tell(context, options, outcome)
    },
  )

  actOnGateway<{ readonly write?: string; readonly out?: string }>(
    key
      .command('requests')
      .description('certificates that were asked for and did not come yet')
      .option('--write <id>', 'write the request of this one again')
      .option('--out <file>', 'where to'),
    session,
    async (operator, context, { json = false, write, out }) => {
      const all = await operator.certificates.registrations.list()
      if (write !== undefined) {
        if (out === undefined) throw new CommandFailed('--write needs --out', exitCodes.usage)
        await context.writeFile(out, requestFile(chosen(all, write, undefined)), 'open')
      }
      printRows(context, json, all.map(registrationRow), 'Nothing is waited for.')
      return exitCodes.done
    },
  )

  actOnGateway<{ readonly cert: string; readonly chain?: string }>(
    key
      .command('accept')
      .description('take the certificate that an authority outside made for a request of ours')
      .requiredOption('--cert <file>', 'the certificate; further ones in the file are its chain')
      .option('--chain <file>', 'further certificates up to the anchor'),
    session,
    async (operator, context, options) => {
      const further = options.chain === undefined ? [] : [options.chain]
      const certificates = []
      for (const path of [options.cert, ...further])
        certificates.push(...readCertificates(await context.readFile(path), path))
      const { registrations } = operator.certificates
      return tell(context, options, await registrations.accept(certificates, operatorName))
    },
  )
}

function ending(key: Command, session: Session): void {
  actOnGateway(
    key.command('withdraw <id>').description('give a request up; its key is gone for good'),
    session,
    async (operator, context, options, [id = '']) => {
      const { registrations } = operator.certificates
      const found = chosen(await registrations.list(), id, undefined)
      if (!(await registrations.withdraw(found.id, operatorName)))
        throw new CommandFailed('it changed at this moment; look again')
      return sayDone(context, options, `Gave up ${found.id} of ${found.owner}.`, { withdrawn: found.id })
    },
  )

  actOnGateway<{ readonly reason: RevocationReason; readonly for?: string }>(
    key
      .command('revoke <id>')
      .description('revoke a certificate of our own authority, and sign with its key no more; it still opens old mail')
      .addOption(
        new Option('--reason <reason>', 'why, as the list will say')
          .choices([...revocationReasons])
          .makeOptionMandatory(),
      )
      .option('--for <owner>', 'where several owners share the certificate'),
    session,
    async (operator, context, options, [id = '']) => {
      const { directory } = operator
      const found = chosen(await directory.keys.list(), id, options.for)
      const { authority } = operator.certificates
      const done = await authority.revoke(found.certificate, options.reason, operatorName)
      if (done.kind === 'refused' || done.kind === 'undecided') throw new CommandFailed(done.detail)
      orFail(await directory.keys.retire(found.owner, found.id, operatorName))
      const sentence =
        done.kind === 'revoked'
          ? `Revoked ${found.id} of ${found.owner}; the list says so now.`
          : `${found.id} of ${found.owner} was revoked before.`
      return sayDone(context, options, sentence, { revoked: found.id, reason: options.reason })
    },
  )
}

function tell(context: Context, options: GlobalOptions, outcome: RegistrationOutcome): number {
  switch (outcome.kind) {
    case 'refused':
      throw new CommandFailed(outcome.detail)
    case 'registered': {
      const { id, owner, notAfter } = outcome.key
      const until = new Date(notAfter).toISOString().slice(0, 10)
      for (const warning of outcome.warnings) context.printError(`warning: ${warning}\n`)
      return sayDone(context, options, `In use for ${owner} until ${until}: ${id}.`, { id, owner, notAfter })
    }
    case 'waiting': {
      const { id, owner, state, detail } = outcome.registration
      if (state === 'refused') throw new CommandFailed(`${detail} (request ${id}; \`key withdraw\` gives it up)`)
      const next = state === 'asking' ? `asked again later: ${detail}` : 'bring its certificate with `key accept`'
      return sayDone(context, options, `Request ${id} for ${owner} waits: ${next}.`, { id, owner, state, detail })
    }
  }
}

function requestFile({ request }: Registration): Uint8Array {
  return Buffer.from(pem('CERTIFICATE REQUEST', request))
}

function registrationRow({ id, owner, use, kind, registrar, state, detail, begunAt, renews }: Registration): Row {
  return { id, owner, use, kind, from: registrar, state, begunAt, renews, detail }
}
