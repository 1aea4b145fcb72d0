import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/** A made-up authenticator with one ES256 key: what a browser would answer, in bytes of its own (WebAuthn §6.1, CBOR by hand). */
export function newAuthenticator(origin: string, rpId: string) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = publicKey.export({ format: 'jwk' })
  const id = randomBytes(16)
  const state = { counter: 1, userVerified: true, origin }

  const bytes = (value: Uint8Array) => Buffer.concat([Buffer.from([0x58, value.length]), value])
  const cose = Buffer.concat([
    Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21]),
    bytes(Buffer.from(jwk.x ?? '', 'base64url')),
    Buffer.from([0x22]),
    bytes(Buffer.from(jwk.y ?? '', 'base64url')),
  ])
  const name = (text: string) => Buffer.concat([Buffer.from([0x60 + text.length]), Buffer.from(text)])

  function data(attested: boolean): Buffer {
    const flags = 0x01 | (state.userVerified ? 0x04 : 0) | (attested ? 0x40 : 0)
    const counter = Buffer.alloc(4)
    counter.writeUInt32BE(state.counter)
    const head = Buffer.concat([createHash('sha256').update(rpId).digest(), Buffer.from([flags]), counter])
    return attested ? Buffer.concat([head, Buffer.alloc(16), Buffer.from([0, id.length]), id, cose]) : head
  }
  const client = (type: string, challenge: string) =>
    Buffer.from(JSON.stringify({ type, challenge, origin: state.origin, crossOrigin: false }))
  const shared = {
    id: id.toString('base64url'),
    rawId: id.toString('base64url'),
    type: 'public-key',
    clientExtensionResults: {},
  }

  return {
    state,
    create(challenge: string) {
      const auth = data(true)
      const long = Buffer.concat([Buffer.from([0x59, auth.length >> 8, auth.length & 255]), auth])
      const object = Buffer.concat([
        Buffer.from([0xa3]),
        name('fmt'),
        name('none'),
        name('attStmt'),
        Buffer.from([0xa0]),
        name('authData'),
        long,
      ])
      return {
        ...shared,
        response: {
          clientDataJSON: client('webauthn.create', challenge).toString('base64url'),
          attestationObject: object.toString('base64url'),
          transports: ['internal'],
        },
      }
    },
    get(challenge: string, user: string) {
      state.counter += 1
      const [auth, json] = [data(false), client('webauthn.get', challenge)]
      const signed = Buffer.concat([auth, createHash('sha256').update(json).digest()])
      return {
        ...shared,
        response: {
          clientDataJSON: json.toString('base64url'),
          authenticatorData: auth.toString('base64url'),
          signature: sign('sha256', signed, privateKey).toString('base64url'),
          userHandle: Buffer.from(user).toString('base64url'),
        },
      }
    },
  }
}
