import { domainOf } from '../direct/address.js'
import type { Refused, Undecided } from '../direct/refusal.js'
import type { Directory } from '../directory/directory.js'
import { composeMdn } from '../notices/mdn.js'
import type { CertificateDirectory, Issuers, Revocation } from '../ports/trust.js'
import type { Vault } from '../ports/vault.js'
import type { Clock } from '../ports/world.js'
import type { OutboundJob } from '../spool/outbound.js'
import { certificatesToEncryptTo } from '../trust/encryption.js'
import { type EncryptionPorts, encryptionOf } from './encryption.js'
import { keysToSign } from './keys.js'
import { type Owed, outboundOwner } from './notices.js'
import { trustPolicyOf } from './policy.js'
import type { Steps } from './steps.js'

export interface NoticeWirePorts extends Pick<EncryptionPorts, 'encryption'> {
  readonly directory: Directory
  readonly vault: Vault
  readonly steps: Pick<Steps, 'seal'>
  readonly revocation: Revocation
  readonly issuers: Issuers
  /** Certificates of others: imported, else discovered. */
  readonly discovery: CertificateDirectory
  readonly clock: Clock
}

/** Makes the wire form of an owed notice: composed, signed by its recipient, encrypted to the sender of the message. */
export async function noticeWire(
  job: OutboundJob,
  ports: NoticeWirePorts,
): Promise<{ readonly kind: 'sealed'; readonly wire: Uint8Array } | Refused | Undecided> {
  const { directory, vault, clock, steps, revocation, issuers, discovery } = ports
  const owed = JSON.parse(Buffer.from(await vault.open(outboundOwner, job.id, job.body)).toString('utf8')) as Owed
  // Notices that an earlier version owed say nothing of it.
  const { disposition = 'processed' } = owed as Partial<Owed>
  const at = clock.now()
  const signers = await keysToSign(owed.recipient, at, directory)
  if ('kind' in signers) return signers

  // To the signer where its key usage allows, else to another certificate bound to the sender.
  const chosen = await certificatesToEncryptTo(
    {
      owner: owed.recipient,
      address: owed.to,
      purpose: 'notice',
      signerCertificate: bytes(owed.signer),
      bag: owed.certificates.map(bytes),
      at,
    },
    { anchors: directory.anchors, revocation, issuers, directory: discovery },
    trustPolicyOf(await directory.domains.policyOf(owed.recipient), 'notice'),
  )
  if (chosen.kind !== 'chosen') return chosen

  const messageId = `<${job.id}@${domainOf(owed.recipient)}>`
  const message = composeMdn({
    disposition,
    finalRecipient: owed.recipient,
    to: owed.to,
    ...(owed.originalMessageId !== undefined && { originalMessageId: owed.originalMessageId }),
    ...(owed.failure !== undefined && { failure: owed.failure }),
    messageId,
    at: job.owedAt,
  })
  const encryption = await encryptionOf([owed.to], ports)
  return steps.seal({
    message,
    signers,
    ...encryption([{ recipient: owed.to, certificates: chosen.certificates }]),
    outer: { from: owed.recipient, to: [owed.to], messageId, date: job.owedAt },
    at,
  })
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
