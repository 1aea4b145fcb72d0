import type { Command } from 'commander'
import type { KeyRecord, KeyWarning } from '../../directory/directory.js'
import { chosen } from '../choose.js'
import { actOnGateway, operatorName, orFail, type Session, sayDone, sayWarnings } from '../command.js'
import { CommandFailed, type Context, exitCodes, type Operator } from '../operator.js'
import { readCertificates, readPrivateKey } from '../pem.js'
import { printRow, printRows, type Row } from '../table.js'
import { registrationCommands } from './registration.js'
import { tokenKeyCommands } from './token-keys.js'

interface ImportOptions {
  readonly for: string
  readonly pkcs8?: string
  readonly cert?: string
  readonly chain?: string
  readonly p12?: string
  readonly passphraseFile?: string
}

const warnings: Readonly<Record<KeyWarning, string>> = {
  expired: 'the certificate has expired: it opens old mail and signs nothing',
  'not-yet-valid': 'the certificate is not valid yet',
  'signs-nothing': 'its key usage does not allow signing',
  'encrypts-nothing': 'its key usage does not allow encrypting to it',
  'broken-chain': 'the further certificates do not lead upwards from it, so they will not be sent along',
}

/** `key import|csr|list|retire`, and what `registrationCommands` and `tokenKeyCommands` add: our own keys and their certificates. */
export function keyCommands(program: Command, session: Session): void {
  const key = program.command('key').description('our private keys and their certificates')
  registrationCommands(key, session)
  tokenKeyCommands(key, session, keyRow, (warning) => warnings[warning])

  actOnGateway<ImportOptions>(
    key
      .command('import')
      .description('take a key and its certificate, as PEM or DER files or as one PKCS#12 file')
      .requiredOption('--for <owner>', 'the address or domain it speaks for')
      .option('--pkcs8 <file>', 'the private key')
      .option('--cert <file>', 'its certificate; further ones in the file are its chain')
      .option('--chain <file>', 'further certificates up to the anchor')
      .option('--p12 <file>', 'a PKCS#12 file with all of it')
      .option('--passphrase-file <file>', 'what opens the PKCS#12 file or the encrypted key'),
    session,
    async (operator, context, options) => {
      const parts =
        options.p12 === undefined ? await fromFiles(context, options) : await fromPkcs12(operator, context, options)
      const added = orFail(await operator.directory.keys.add({ owner: options.for, ...parts }, operatorName))
      sayWarnings(
        context,
        added.warnings.map((warning) => warnings[warning]),
      )
      printRow(context, options.json === true, keyRow(added.key))
      return exitCodes.done
    },
  )

  actOnGateway(
    key.command('list').description('list them; private keys are never shown'),
    session,
    async ({ directory }, context, { json = false }) => {
      printRows(context, json, (await directory.keys.list()).map(keyRow), 'No keys yet.')
      return exitCodes.done
    },
  )

  actOnGateway<{ readonly for?: string }>(
    key
      .command('retire <id>')
      .description('sign with it no more; it still opens old mail')
      .option('--for <owner>', 'where several owners share the certificate'),
    session,
    async ({ directory }, context, options, [id = '']) => {
      const found = chosen(await directory.keys.list(), id, options.for)
      orFail(await directory.keys.retire(found.owner, found.id, operatorName))
      return sayDone(context, options, `Retired ${found.id} of ${found.owner}.`, { retired: found.id })
    },
  )
}

async function fromFiles(context: Context, { pkcs8, cert, chain, passphraseFile }: ImportOptions) {
  if (pkcs8 === undefined || cert === undefined)
    throw new CommandFailed('either --p12 FILE, or --pkcs8 FILE and --cert FILE', exitCodes.usage)
  const passphrase = await passphraseOf(context, passphraseFile)
  const [certificate, ...rest] = readCertificates(await context.readFile(cert), cert)
  const further = chain === undefined ? [] : readCertificates(await context.readFile(chain), chain)
  return {
    certificate,
    chain: [...rest, ...further],
    pkcs8: readPrivateKey(await context.readFile(pkcs8), pkcs8, passphrase),
  }
}

async function fromPkcs12(
  { pki }: Operator,
  context: Context,
  { p12 = '', pkcs8, cert, passphraseFile }: ImportOptions,
) {
  if (pkcs8 !== undefined || cert !== undefined)
    throw new CommandFailed('--p12 has key and certificate in it: leave --pkcs8 and --cert out', exitCodes.usage)
  const passphrase = (await passphraseOf(context, passphraseFile)) ?? ''
  const opened = await pki.openPkcs12(await context.readFile(p12), passphrase)
  if (opened.kind === 'refused') throw new CommandFailed(`${p12}: ${opened.detail}`)
  const { certificate, chain, pkcs8: key } = opened
  return { certificate, chain, pkcs8: key }
}

/** The first line of the file: editors end files with a line break that no passphrase has. */
async function passphraseOf(context: Context, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined
  return Buffer.from(await context.readFile(file))
    .toString('utf8')
    .split(/\r?\n/)[0]
}

function keyRow(key: KeyRecord): Row {
  const { id, owner, type, notBefore, notAfter, maySign, mayEncrypt, retired, subject, issuer, token } = key
  const use = [maySign && !retired && 'sign', mayEncrypt && 'encrypt', retired && 'retired'].filter(Boolean).join('+')
  return { id, owner, type, use, notBefore, notAfter, subject, issuer, ...(token !== undefined && { token }) }
}
