import { afterEach, describe, expect, it } from 'vitest'
import { type Fixture, header, listening, type Peer, peer } from './peer.js'

let fixture: Fixture

async function start(): Promise<Peer> {
  fixture = await listening()
  return peer(fixture.listener.port)
}

afterEach(() => fixture?.listener.close(0))

const secret = 'u@x.example;Which pet?;Parakeet;Your results'
const encoded = `=?utf-8?B?${Buffer.from(secret).toString('base64')}?=`

describe('mail to newuser@', () => {
  it.each([
    ['as it is', secret],
    ['folded', 'u@x.example;\r\n Which pet?;\r\n Parakeet'],
    ['as encoded words', encoded],
  ])(
    'with question and answer in the outer Subject %s is refused at the end of DATA, and nothing kept',
    async (_, subject) => {
      const client = await start()
      await client.toData('newuser@served.example')
      client.write(`Subject: ${subject}\r\n${header}body\r\n.\r\n`)
      const reply = await client.reply()
      expect(reply).toBe('554 5.7.0 Message could not be accepted')
      expect(fixture.kept).toEqual([])
      expect(fixture.aborted).toHaveLength(1)
    },
  )

  it('is refused with it however the bytes are cut, also beside another recipient', async () => {
    const other = await start()
    for (const line of ['EHLO p', 'MAIL FROM:<from@peer.example>', 'RCPT TO:<a@served.example>'])
      expect(await other.say(line)).toMatch(/^250/)
    expect(await other.say('RCPT TO:<NewUser@Served.Example>')).toMatch(/^250/)
    expect(await other.say('DATA')).toMatch(/^354/)
    for (const character of `Subject: ${secret}\r\n${header}body\r\n.\r\n`) {
      other.write(character)
      await new Promise(setImmediate)
    }
    expect(await other.reply()).toMatch(/^554 5\.7\.0/)
    expect(fixture.kept).toEqual([])
  })

  it('with the e-mail address alone, or a plain outer Subject, is taken', async () => {
    const client = await start()
    for (const subject of ['Encrypted message', 'u@x.example;Your results']) {
      await client.toData('newuser@served.example')
      client.write(`Subject: ${subject}\r\n${header}body\r\n.\r\n`)
      expect(await client.reply()).toMatch(/^250/)
    }
  })

  it('leaves mail to everybody else alone: their Subject is their own affair', async () => {
    const client = await start()
    await client.toData('anna@served.example')
    client.write(`Subject: ${secret}\r\n${header}body\r\n.\r\n`)
    expect(await client.reply()).toMatch(/^250/)
    expect(fixture.kept).toHaveLength(1)
  })
})
