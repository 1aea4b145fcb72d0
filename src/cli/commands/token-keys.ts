import { type Command, Option } from 'commander'
import type { KeyRecord, KeyWarning } from '../../directory/directory.js'
import type { TokenKeys } from '../../pipeline/token-keys.js'
import { type KeyUse, keyUses } from '../../ports/registrar.js'
import { actOnGateway, operatorName, orFail, type Session, sayDone, sayWarnings } from '../command.js'
import { CommandFailed, exitCodes, type Operator } from '../operator.js'
import { pem, readCertificates } from '../pem.js'
import { printRow, type Row } from '../table.js'

interface AddOptions {
  readonly for: string
  readonly pkcs11: string
  readonly certificate: string
  readonly chain?: string
}

interface RequestOptions {
  readonly for: string
  readonly pkcs11: string
  readonly use: KeyUse
  readonly out: string
}

const extractable = 'the token lets the key out to whoever is logged in: make one that stays (CKA_EXTRACTABLE false)'

/** `key add|token-request`: private keys in a PKCS#11 token. `rowOf` and `wordsOf` show a key as `key list` does. */
export function tokenKeyCommands(
  key: Command,
  session: Session,
  rowOf: (key: KeyRecord) => Row,
  wordsOf: (warning: KeyWarning) => string,
): void {
  actOnGateway<AddOptions>(
    key
      .command('add')
      .description('take a key that is in a PKCS#11 token, and stays there, with its certificate')
      .requiredOption('--for <owner>', 'the address or domain it speaks for')
      .requiredOption('--pkcs11 <uri>', 'where it is, such as pkcs11:token=mail;object=anna')
      .requiredOption('--certificate <file>', 'its certificate; further ones in the file are its chain')
      .option('--chain <file>', 'further certificates up to the anchor'),
    session,
    async (operator, context, { for: owner, pkcs11: uri, certificate: file, ...options }) => {
      const [certificate, ...rest] = readCertificates(await context.readFile(file), file)
      const further =
        options.chain === undefined ? [] : readCertificates(await context.readFile(options.chain), options.chain)
      const chain = [...rest, ...further]
      const answer = await tokenKeysOf(operator).add({ owner, uri, certificate, chain }, operatorName)
      if (answer.kind === 'undecided') throw new CommandFailed(answer.detail)
      const added = orFail(answer)
      sayWarnings(context, [...added.warnings.map(wordsOf), ...(added.extractable ? [extractable] : [])])
      printRow(context, options.json === true, rowOf(added.key))
      return exitCodes.done
    },
  )

  actOnGateway<RequestOptions>(
    key
      .command('token-request')
      .description('write a certificate request for a key in a PKCS#11 token, for an authority outside')
      .requiredOption('--for <owner>', 'the address or domain it will speak for')
      .requiredOption('--pkcs11 <uri>', 'where it is, such as pkcs11:token=mail;object=anna')
      .requiredOption('--out <file>', 'where to write the request')
      .addOption(new Option('--use <use>', 'what the certificate is for').choices([...keyUses]).default('both')),
    session,
    async (operator, context, options) => {
      const answer = await tokenKeysOf(operator).request(options.pkcs11, options.for, options.use)
      if (answer.kind === 'undecided') throw new CommandFailed(answer.detail)
      const { der } = orFail(answer)
      await context.writeFile(options.out, Buffer.from(pem('CERTIFICATE REQUEST', der)), 'open')
      const sentence = [
        `Wrote ${options.out}. With the certificate in hand:`,
        `  direct-gateway key add --for ${options.for} --pkcs11 '${options.pkcs11}' --certificate CERTIFICATE`,
      ].join('\n')
      return sayDone(context, options, sentence, { request: options.out })
    },
  )
}

function tokenKeysOf({ tokenKeys }: Operator): TokenKeys {
  if (!tokenKeys) throw new CommandFailed('no token is configured: set pkcs11.module and pkcs11.pinFile')
  return tokenKeys
}
