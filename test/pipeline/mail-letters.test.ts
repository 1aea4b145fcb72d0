import { expect, it } from 'vitest'
import type { DirectAddress } from '../../src/direct/address.js'
import type { Membership, Person } from '../../src/people/people.js'
import { lettersOf } from '../../src/pipeline/mail-letters.js'

const record = { id: 'r', name: 'Anna', state: 'active', createdAt: 0 } as const
const holder = (person: string, more: Partial<Membership> = {}): Membership => ({
  ...{ person, record, custodian: true, relationship: 'parent', rules: 'all', since: 0 },
  ...more,
})
const person = async (id: string): Promise<Person> => ({
  ...{ id, name: id, email: `${id}@mail.example`, language: 'en', state: 'active' },
})

it('tells those who may read the mail, not parents from whom it is kept, nor readers', async () => {
  const told: string[] = []
  const holders = async () => [
    holder('teen'),
    holder('mother', { confidential: true }),
    holder('aunt', { custodian: false }),
  ]
  const from = 'dr@far.example' as DirectAddress
  await lettersOf(
    { address: { record: 'r' }, from, messageId: 'm', documents: 1 },
    {
      letters: {
        letter: ({ email }, { kind }) => ({
          put: [{ key: String(told.push(`${kind} ${email}`)), value: Buffer.of() }],
        }),
      },
      people: { records: { holders }, person },
      links: { messages: 'https://gw.example/m', review: 'https://gw.example/r' },
      record: { modes: async () => ({ otherwise: 'review', senders: {} }) as never },
    },
  )
  expect(told).toEqual(['new-message teen@mail.example', 'review-needed teen@mail.example'])
})
