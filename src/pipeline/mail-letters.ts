import type { DirectAddress } from '../direct/address.js'
import type { Address } from '../directory/directory.js'
import { hasWhole, type People } from '../people/people.js'
import type { Letter, Letters } from '../ports/letters.js'
import { type Batch, together } from '../ports/store.js'
import type { PatientRecord } from '../record/record.js'

/** What tells people by ordinary e-mail of what came for them; without any of it nobody is told. */
export interface MailLetterPorts {
  readonly letters?: Pick<Letters, 'letter'>
  readonly people?: { readonly records: Pick<People['records'], 'holders'>; readonly person: People['person'] }
  /** Pages that a letter leads to. */
  readonly links?: MailLinks
  readonly record: Pick<PatientRecord, 'modes'>
}

export interface MailLinks {
  /** Where somebody reads their mail. */
  readonly messages: string
  /** Where somebody decides on what documents say. */
  readonly review: string
}

/** As many are told as a record has custodians; a family has a few. */
const mostCustodians = 20

/**
 * Parts that tell the custodians who have a record whole that a message came, and where it brought documents, that these were added or
 * wait to be looked at, by what the record says of this sender. Nothing of who sent it or what it is about. Each is queued
 * once for a message.
 */
export async function lettersOf(
  {
    address,
    from,
    messageId,
    documents,
  }: {
    readonly address: Pick<Address, 'record'>
    readonly from: DirectAddress
    readonly messageId: string
    readonly documents: number
  },
  { letters, people, links, record }: MailLetterPorts,
): Promise<Batch> {
  if (!letters || !people || !links || address.record === undefined) return {}
  const { otherwise, senders } = await record.modes(address.record)
  const mode = senders[from] ?? otherwise
  const told: readonly Letter[] = [
    { kind: 'new-message', url: links.messages },
    ...(documents === 0
      ? []
      : [{ kind: mode === 'automatic' ? 'items-added' : 'review-needed', url: links.review } satisfies Letter]),
  ]
  const parts: Batch[] = []
  const holders = await people.records.holders(address.record)
  for (const { person } of holders.filter(hasWhole).slice(0, mostCustodians)) {
    const known = await people.person(person)
    if (known?.state !== 'active') continue
    for (const letter of told) parts.push(letters.letter(known, letter, `${letter.kind} ${messageId} ${person}`))
  }
  return together(...parts)
}
