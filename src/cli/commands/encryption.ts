import { type Command, Option } from 'commander'
import { rsaTransports, sealingCiphers } from '../../direct/encryption.js'
import type { EncryptionRecord } from '../../directory/directory.js'
import { actOnGateway, operatorName, orFail, type Session, sayDone } from '../command.js'
import { exitCodes } from '../operator.js'
import { printRows, type Row } from '../table.js'

/** `peer encryption`: how to encrypt for systems that do not read the usual. */
export function encryptionCommands(peer: Command, session: Session): void {
  const encryption = peer.command('encryption').description('how to encrypt for systems that do not read the usual')

  actOnGateway<{ readonly rsaTransport?: string; readonly contentCipher?: string }>(
    encryption
      .command('set <owner>')
      .description('encrypt for an address or a domain in this way from now on')
      .addOption(new Option('--rsa-transport <name>', 'how RSA keys get the content key').choices(rsaTransports))
      .addOption(new Option('--content-cipher <name>', 'what its messages are encrypted with').choices(sealingCiphers)),
    session,
    async ({ directory }, context, { json = false, rsaTransport, contentCipher }, [owner = '']) => {
      const preference = { ...(rsaTransport && { rsaTransport }), ...(contentCipher && { contentCipher }) }
      const { record } = orFail(await directory.encryption.set(owner, preference, operatorName))
      printRows(context, json, [encryptionRow(record)], '')
      return exitCodes.done
    },
  )

  actOnGateway(
    encryption.command('list').description('list whoever gets it in another way than the usual'),
    session,
    async ({ directory }, context, { json = false }) => {
      const rows = (await directory.encryption.list()).map(encryptionRow)
      printRows(
        context,
        json,
        rows,
        'Everybody gets it as the configuration says (outbound.rsaTransport, contentCipher).',
      )
      return exitCodes.done
    },
  )

  actOnGateway(
    encryption.command('remove <owner>').description('encrypt in the usual way again'),
    session,
    async ({ directory }, context, options, [owner = '']) => {
      orFail(await directory.encryption.remove(owner, operatorName))
      return sayDone(context, options, `${owner} gets it in the usual way again.`, { removed: owner })
    },
  )
}

function encryptionRow({ owner, rsaTransport, contentCipher, addedAt }: EncryptionRecord): Row {
  return { owner, rsaTransport, contentCipher, addedAt }
}
