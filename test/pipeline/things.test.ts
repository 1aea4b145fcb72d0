import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readThings } from '../../src/pipeline/things.js'

const ccr = (text: string) =>
  `<ContinuityOfCareRecord xmlns="urn:astm-org:CCR"><Body><Problems><Problem><CCRDataObjectID>p</CCRDataObjectID><Description><Text>${text}</Text></Description></Problem></Problems></Body></ContinuityOfCareRecord>`
const thing = (inside: string) => `<thing><type-id>x</type-id><data-xml>${inside}<common/></data-xml></thing>`
const read = (text: string) => readThings(Buffer.from(text))

describe('things of HealthVault', () => {
  it('are kept as they came, and each document among them is read', async () => {
    const documents = (await read(`${thing(ccr('Hay fever'))}\n${thing('<weight/>')}${thing(ccr('Asthma'))}`)) ?? []
    expect(documents.map(({ item }) => item.content).map((one) => one.type === 'document' && one.format)).toEqual([
      ...['xml', 'ccr', 'ccr'],
    ])
    const items = documents.flatMap((one) => one.items)
    expect(items.filter(({ content }) => content.type === 'problem')).toHaveLength(2)
  })

  it.each([
    ['nothing', ''],
    ['words', 'hello'],
    ['a tag that is not closed', '<thing><data-xml><a></data-xml></thing>'],
    ['something else beside them', `${thing('')}<other/>`],
    ['a document type', `<!DOCTYPE x>${thing('')}`],
    ['an end that was not begun', `</things>${thing('')}<things>`],
  ])('are none where there is %s', async (_, text) => {
    expect(await read(text)).toBeUndefined()
  })

  it('never throw, whatever the bytes', async () => {
    const sound = thing(ccr('Hay fever'))
    await fc.assert(
      fc.asyncProperty(fc.nat(sound.length), fc.string({ maxLength: 8 }), async (at, put) => {
        await read(sound.slice(0, at) + put + sound.slice(at + put.length))
      }),
      { numRuns: 1000 },
    )
  })
})
