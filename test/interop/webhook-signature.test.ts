import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { messageOf, signatureHeaders } from '../../src/delivery/webhook-endpoint.js'
import type { DirectAddress } from '../../src/direct/address.js'
import { endpointOf } from '../delivery/receiver.js'

const has = (program: string, ...args: string[]) => spawnSync(program, args).status === 0
const python = has('python3', '--version')
const openssl = has('openssl', 'version')

/** The receiver of the documentation, in Python: prints what it makes of a delivery. */
const receiver = `
import base64, hashlib, hmac, json, sys
given = json.load(sys.stdin)
body = base64.b64decode(given["body"])
def verify(secret, headers, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f'{headers["webhook-id"]}.{headers["webhook-timestamp"]}.'.encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(one, "v1," + expected) for one in headers["webhook-signature"].split(" "))
print(json.dumps([verify(given["secret"], given["headers"], body), json.loads(body)["type"]]))
`

const event = {
  ...{ id: 'abc-000000000000001-10000-00000000', at: 1, message: 'abc', step: 'sent' as const },
  ...{ recipient: 'dr@far.example' as DirectAddress, detail: '250 2.0.0 Grüße, queued as ☃' },
}

function delivery(secretText: string) {
  const endpoint = endpointOf('https://ehr.example/', { secret: secretText })
  const message = messageOf(1, event)
  return { body: message.body, headers: signatureHeaders(message, endpoint.secrets, 1_700_000_000_999) }
}

const newSecret = () => `whsec_${randomBytes(32).toString('base64')}`

describe.skipIf(!python)('the signature, judged by Python (skipped where there is none)', () => {
  const judged = (secret: string, { body, headers }: ReturnType<typeof delivery>) =>
    JSON.parse(
      spawnSync('python3', ['-c', receiver], {
        input: JSON.stringify({ secret, headers, body: body.toString('base64') }),
      }).stdout.toString(),
    )

  it('holds under the secret, and under each of two', () => {
    const [one, two] = [newSecret(), newSecret()]
    expect(judged(one, delivery(one))).toEqual([true, 'message.sent'])
    for (const secret of [one, two]) expect(judged(secret, delivery(`${one}\n${two}`))).toEqual([true, 'message.sent'])
  })

  it('does not hold under another secret, for another body, at another time', () => {
    const secret = newSecret()
    const { body, headers } = delivery(secret)
    expect(judged(newSecret(), { body, headers })[0]).toBe(false)
    expect(judged(secret, { body: Buffer.concat([body, Buffer.from(' ')]), headers })[0]).toBe(false)
    expect(judged(secret, { body, headers: { ...headers, 'webhook-timestamp': '1700000001' } })[0]).toBe(false)
    expect(judged(secret, { body, headers: { ...headers, 'webhook-id': 'other' } })[0]).toBe(false)
  })
})

describe.skipIf(!openssl)('the signature, judged by OpenSSL (skipped where there is none)', () => {
  it('is the HMAC of id, time and body', () => {
    const secret = newSecret()
    const { body, headers } = delivery(secret)
    const signed = Buffer.concat([Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), body])
    const key = Buffer.from(secret.slice(6), 'base64').toString('hex')
    const { stdout } = spawnSync(
      'openssl',
      ['dgst', '-sha256', '-mac', 'hmac', '-macopt', `hexkey:${key}`, '-binary'],
      { input: signed },
    )
    expect(headers['webhook-signature']).toBe(`v1,${stdout.toString('base64')}`)
  })
})
