import { signedWith } from '../world/cms.js'
import { partAt, read, withPart, write } from '../world/der.js'
import { type Party, type Wanted, withCertificate } from '../world/pki.js'
import {
  cda,
  type Draft,
  image,
  mixed,
  only,
  ourAddress,
  ourDomain,
  pdf,
  senderOf,
  type text,
  theirDomain,
} from './letters.js'
import type { Clinic } from './receiving.js'

/** What each case of the group sends, in every variant, with what must come of it. */
type Drafts = (clinic: Clinic, caseId: string) => readonly Draft[] | Promise<readonly Draft[]>

/** A domain of ours that still takes SHA-1, and mail whose revocation nobody publishes. */
export const lenientDomain = 'lenient.test'
const lenientAddress = `pat.sample@${lenientDomain}`

const final = (value: string) => `Disposition-Notification-Options: ${value}`
const finalDelivery = final('X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true')
/** Where notices go, in messages that ask for the second one. */
const notify = (caseId: string, about: string) => `Disposition-Notification-To: <${senderOf(caseId, about)}>`

/** Good in every respect but what the case is about. */
const plain = ({ sender }: Clinic): readonly Draft[] => [{ expect: 'processed', signers: [sender] }]

/** Certificates for the one address of a letter, so that each letter tells which was used. */
const bound = ({ authority }: Clinic, caseId: string, about = '', wanted: Wanted = {}) =>
  authority.issue(`${caseId} ${about}`.trim(), { subjectAltName: `email:${senderOf(caseId, about)}`, ...wanted })

const refusedFor =
  (wanted: Wanted): Drafts =>
  async (clinic, caseId) => [{ expect: 'nothing', signers: [await bound(clinic, caseId, '', wanted)] }]

const acceptedFor =
  (wanted: Wanted, draft: Partial<Draft> = {}): Drafts =>
  async (clinic, caseId) => [{ ...draft, expect: 'processed', signers: [await bound(clinic, caseId, '', wanted)] }]

const withContent = (...contents: readonly (readonly [string, ReturnType<typeof text>])[]): Drafts => {
  return ({ sender }) =>
    contents.map(([about, content]) => ({ about, content, expect: 'processed', signers: [sender] }))
}

/** Requests for the second notice that do not follow the rules: the first is sent, the second is not. */
const badOptions: Readonly<Record<string, string>> = {
  unknown: 'X-XXXX-FINAL-X-DELXXXX=optioXXX,tXX',
  mistyped: 'X-DIRECT-FINAL-DESTINATION-DELIVERY=optioXXX,tXX',
  novalue: 'X-DIRECT-FINAL-DESTINATION-DELIVERY',
  notrue: 'X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,false',
  inside: 'optional,true X-DIRECT-FINAL-DESTINATION-DELIVERY',
}

const directTrust: Readonly<Record<string, Drafts>> = {
  ExceptionPathBadNotificationRequestHeader: ({ sender }, caseId) =>
    Object.entries(badOptions).map(([about, value]) => ({
      about,
      expect: 'processed',
      signers: [sender],
      header: [notify(caseId, about), final(value)],
    })),
  ExceptionPathEC: refusedFor({ expired: true }),
  ExceptionPathInvalidDigest: ({ sender }) => [
    {
      about: 'body',
      expect: 'nothing',
      signers: [sender],
      tamper: (entity) => entity.replace('All is well', 'All is ill'),
    },
    {
      about: 'subject',
      expect: 'nothing',
      signers: [sender],
      tamper: (entity) => entity.replace('Subject: A note', 'Subject: B note'),
    },
  ],
  ExceptionPathNT: async ({ stranger }, caseId) => [
    { expect: 'nothing', signers: [await stranger.issue('NT', { subjectAltName: `email:${senderOf(caseId)}` })] },
  ],
  async ExceptionPathRevokedCert(clinic, caseId) {
    const revoked = await bound(clinic, caseId)
    const lenient = await bound(clinic, caseId, 'soft')
    await clinic.authority.revoke(revoked)
    await clinic.authority.revoke(lenient)
    return [
      { expect: 'nothing', signers: [revoked] },
      { about: 'soft', expect: 'nothing', to: lenientAddress, signers: [lenient] },
    ]
  },
  HappyPathDeliveryIG: ({ sender }, caseId) => [
    { expect: 'dispatched', signers: [sender], header: [notify(caseId, ''), finalDelivery] },
  ],
  HappyPathAllCapsLocalPart: ({ sender }) => [
    { expect: 'processed', signers: [sender], to: `${(ourAddress.split('@')[0] ?? '').toUpperCase()}@${ourDomain}` },
  ],
  HappyPathLowerCaseLocalPart: plain,
  HappyPathTextOnly: plain,
  HappyPathCDAOnly: withContent(['alone', only(cda)], ['attached', mixed(cda)]),
  HappyPathImageOnly: withContent(['alone', only(image)], ['attached', mixed(image)]),
  HappyPathPDFOnly: withContent(['alone', only(pdf)], ['attached', mixed(pdf)]),
  HappyPathMixedContent: withContent(['', mixed(cda, image, pdf)]),
  async HappyPathMultiCertsEC(clinic, caseId) {
    const expired = await bound(clinic, caseId, '', { expired: true })
    return [{ expect: 'processed', signers: [clinic.sender, expired] }]
  },
  async HappyPathMultiCertsNT(clinic, caseId) {
    // A longer name than the trusted one's, so that it stands behind it.
    const root = await clinic.makeRoot('An Authority Whom Nobody Trusts And Whose Name Is Long')
    const untrusted = await root.issue('NT', { subjectAltName: `email:${senderOf(caseId)}` })
    return [{ expect: 'processed', signers: [clinic.sender, untrusted] }]
  },
  async HappyPathMultiCertsNTRSO({ stranger, sender }, caseId) {
    const untrusted = await stranger.issue('NT', { subjectAltName: `email:${senderOf(caseId)}` })
    return [{ expect: 'processed', signers: [untrusted, sender], reader: sender }]
  },
  HappyPathOAEPSHA1: ({ sender }) => [{ expect: 'processed', signers: [sender], transport: 'oaep-sha1' }],
  HappyPathOAEPSHA256: ({ sender }) => [{ expect: 'processed', signers: [sender], transport: 'oaep-sha256' }],
}

/** Takes a part out of a certificate's validity, or changes its signature; the rest stays. */
const withoutTime = (position: 0 | 1) => (certificate: Buffer) => {
  const node = read(certificate)
  return write(withPart(node, [0, 4, position], undefined))
}

const noTime =
  (position: 0 | 1): Drafts =>
  async (clinic, caseId) => {
    const good = await bound(clinic, caseId)
    const malformed = await clinic.authority.resign(good.certificate, withoutTime(position))
    return [
      { expect: 'nothing', signers: [good], signBy: (entity) => signedWith(clinic.openssl, entity, good, malformed) },
    ]
  }

/** Certificates that are not what they seem. */
const invalid: Drafts = async (clinic, caseId) => {
  const damaged = await bound(clinic, caseId, 'signature')
  const node = read(damaged.certificate)
  const bits = Buffer.from(partAt(node, 2).bytes ?? [])
  bits.writeUInt8(bits.readUInt8(bits.length - 1) ^ 1, bits.length - 1)
  const other = await clinic.authority.issue('other', { subjectAltName: `email:someone.else@${theirDomain}` })
  const named = withCertificate(clinic.openssl, damaged, write(withPart(node, [2], { tag: 0x03, bytes: bits })))
  return [
    { about: 'signature', expect: 'nothing', signers: [named] },
    { about: 'other address', expect: 'nothing', signers: [other] },
    {
      about: 'other domain',
      expect: 'nothing',
      signers: [await clinic.authority.issue('elsewhere', { subjectAltName: 'DNS:elsewhere.test' })],
    },
    {
      about: 'encrypts only',
      expect: 'nothing',
      signers: [await bound(clinic, caseId, 'encrypts only', { keyUsage: 'keyEncipherment' })],
    },
  ]
}

/** The issuer stands where nothing is, or nothing that can be read, or nothing that ever ends. */
const badIssuerPlace: Drafts = async (clinic, caseId) => {
  const places: readonly (readonly [string, string])[] = [
    ['nothing there', `${clinic.web.url}/nothing.cer`],
    ['a page', `${clinic.web.url}/page.cer`],
    ['never ends', `${clinic.web.url}/hanging.cer`],
    ['nobody listens', 'http://127.0.0.1:9009/hidden.cer'],
    ['another certificate', `${clinic.web.url}/stranger.cer`],
  ]
  return Promise.all(
    places.map(async ([about, aia]): Promise<Draft> => {
      const subjectAltName = `email:${senderOf(caseId, about)}`
      return { about, expect: 'nothing', signers: [await clinic.hidden.issue(about, { subjectAltName, aia })] }
    }),
  )
}

const ec =
  (key: 'p256' | 'p384', digest: 'sha256' | 'sha384'): Drafts =>
  async (clinic, caseId) => {
    const both = await bound(clinic, caseId, 'one certificate', { key, keyUsage: 'digitalSignature,keyAgreement' })
    const signer = await bound(clinic, caseId, 'two certificates', { key, keyUsage: 'digitalSignature' })
    const reader = await bound(clinic, caseId, 'two certificates', { keyUsage: 'keyEncipherment' })
    return [
      { about: 'one certificate', expect: 'processed', signers: [both], sign: { digest } },
      { about: 'two certificates', expect: 'processed', signers: [signer], sign: { digest, along: [reader] }, reader },
    ]
  }

const wild: Drafts = async (clinic) => {
  const issue = (name: string, subjectAltName: string): Promise<Party> =>
    clinic.authority.issue(name, { subjectAltName })
  return [
    {
      about: 'below',
      expect: 'nothing',
      domain: `sub.${theirDomain}`,
      signers: [await issue('wild', `DNS:*.${theirDomain}`)],
    },
    { about: 'top', expect: 'nothing', signers: [await issue('wild', 'DNS:*.test')] },
  ]
}

const withEmail: Drafts = async (clinic, caseId) => {
  const issue = (name: string, wanted: Wanted) => clinic.authority.issue(name, wanted)
  const own = senderOf(caseId, 'same')
  return [
    {
      about: 'same',
      expect: 'processed',
      signers: [await issue('same', { subjectAltName: `email:${own}`, emailAddress: own })],
    },
    {
      about: 'another',
      expect: 'nothing',
      signers: [
        await issue('another', {
          subjectAltName: `email:else@${theirDomain}`,
          emailAddress: senderOf(caseId, 'another'),
        }),
      ],
    },
    {
      about: 'subject only',
      expect: 'nothing',
      signers: [await issue('subject only', { emailAddress: senderOf(caseId, 'subject only') })],
    },
  ]
}

const noList: Drafts = async (clinic, caseId) => [
  {
    about: 'not demanded',
    expect: 'processed',
    to: lenientAddress,
    signers: [await bound(clinic, caseId, 'not demanded', { crl: '' })],
  },
  { about: 'demanded', expect: 'nothing', signers: [await bound(clinic, caseId, 'demanded', { crl: '' })] },
]

const edgeTestingTool: Readonly<Record<string, Drafts>> = {
  GOOD256: plain,
  GOOD1: ({ sender }) => [
    { about: 'allowed', expect: 'processed', to: lenientAddress, signers: [sender], sign: { digest: 'sha1' } },
    { about: 'not allowed', expect: 'nothing', signers: [sender], sign: { digest: 'sha1' } },
  ],
  INVALID: invalid,
  EXPIRED: refusedFor({ expired: true }),
  DIFF: async ({ stranger }, caseId) => [
    { expect: 'nothing', signers: [await stranger.issue('DIFF', { subjectAltName: `email:${senderOf(caseId)}` })] },
  ],
  AIA: badIssuerPlace,
  DIGEST: ({ sender }) => [
    {
      expect: 'nothing',
      signers: [sender],
      tamper: (entity) => entity.replace('Subject: A note', 'X-Added-After: signing\r\nSubject: A note'),
    },
  ],
  ECP256: ec('p256', 'sha256'),
  ECP384: ec('p384', 'sha384'),
  WILD: wild,
  EMAIL: withEmail,
  LT2048: refusedFor({ key: 'rsa1024' }),
  NOCRL: noList,
  NONB: noTime(0),
  NONA: noTime(1),
  R3072: acceptedFor({ key: 'rsa3072' }),
  R4096: acceptedFor({ key: 'rsa4096' }),
  S384: ({ sender }) => [{ expect: 'processed', signers: [sender], sign: { digest: 'sha384' } }],
  S512: ({ sender }) => [{ expect: 'processed', signers: [sender], sign: { digest: 'sha512' } }],
  OAEP: ({ sender }) =>
    (['oaep-sha1', 'oaep-sha256'] as const).map((transport) => ({
      about: transport,
      expect: 'processed',
      signers: [sender],
      transport,
    })),
  CBC: ({ sender }) =>
    (['aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc'] as const).map((cipher) => ({
      about: cipher,
      expect: 'processed',
      signers: [sender],
      cipher,
    })),
  GCM: ({ sender }) =>
    (['aes-128-gcm', 'aes-256-gcm'] as const).map((cipher) => ({
      about: cipher,
      expect: 'processed',
      signers: [sender],
      cipher,
    })),
}

/** By case. */
export const drafts: Readonly<Record<string, Drafts>> = {
  ...Object.fromEntries(Object.entries(directTrust).map(([name, make]) => [`RCV-DT-${name}`, make])),
  ...Object.fromEntries(Object.entries(edgeTestingTool).map(([name, make]) => [`RCV-ETT-${name}`, make])),
}
