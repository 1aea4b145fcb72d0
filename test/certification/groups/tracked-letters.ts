/** What edges send to the far side in the cases about tracking, and what they must be told. */
export type EdgeKind = 'smtp' | 'imap' | 'pop' | 'api'

/** What an edge must be told of one recipient, once; `nothing` where silence is due. */
export interface Owed {
  readonly to: string
  readonly told: 'failed' | 'dispatched' | 'processed' | 'nothing'
  /** Which of the timers must be over first. */
  readonly after?: 'processed' | 'dispatched'
  /** The mail never leaves. */
  readonly kept?: true
  /** The message's trail says that something came which nobody was told of. */
  readonly swallowed?: true
  /** What the sender's list of sent messages says in the end. */
  readonly state?: 'sent' | 'processed' | 'dispatched' | 'failed'
}

/** What a message asks its recipients' gateways. */
export type Asks = 'nothing' | 'processed' | 'dispatched' | 'malformed'

export interface TrackedDraft {
  readonly caseId: string
  /** What this one of several of the case is about. */
  readonly about: string
  readonly edge: EdgeKind
  readonly asks: Asks
  readonly owed: readonly Owed[]
}

export const ourDomain = 'hisp.test'
export const farDomain = 'far.test'
export const edgeAddress = (edge: EdgeKind) => `${edge}@${ourDomain}`
const far = (localPart: string) => `${localPart}@${farDomain}`
/** Its certificate is published, and nobody of ours trusts its authority. */
export const untrustedDomain = 'untrusted.test'
/** It has an exchanger, and no certificate anywhere. */
export const certlessDomain = 'nocert.test'

const untrusted = `provider1@${untrustedDomain}`
const certless = `failure15@${certlessDomain}`

const failed = (to: string, more: Partial<Owed> = {}): Owed => ({ to, told: 'failed', state: 'failed', ...more })
const confirmed = (to: string): Owed => ({ to, told: 'dispatched', state: 'dispatched' })
const letter = (caseId: string, edge: EdgeKind, asks: Asks, owed: readonly Owed[], about = ''): TrackedDraft => ({
  caseId,
  about,
  edge,
  asks,
  owed,
})

/** The same cases for every way in which an edge reads its mail: SMTP, IMAP, POP. */
const ways = ['smtp', 'imap', 'pop'] as const

/** MT1 to MT12: nothing is asked. */
function plainCases(edge: EdgeKind, first: number): readonly TrackedDraft[] {
  const one = (n: number, owed: Owed, about = '') => letter(`MT${first + n}`, edge, 'nothing', [owed], about)
  return [
    one(0, failed(far('badaddress'), { kept: true }), 'refused by his gateway'),
    one(0, failed(far('noaddressfailure9')), 'a failed notice'),
    one(1, failed(untrusted, { kept: true })),
    one(2, failed(certless, { kept: true })),
    one(3, failed(far('nomdn8'), { after: 'processed' })),
  ]
}

/** MT21 and MT23 to MT29: final delivery is to be confirmed. */
function confirmedCases(edge: EdgeKind, letterOfWay: string, waitSeconds: number): readonly TrackedDraft[] {
  const one = (n: number, owed: Owed, about = '') => letter(`MT${n}${letterOfWay}`, edge, 'dispatched', [owed], about)
  return [
    one(21, confirmed(far('processeddispatched6'))),
    one(23, failed(far('badaddress'), { kept: true })),
    one(24, failed(untrusted, { kept: true })),
    one(25, failed(certless, { kept: true })),
    one(26, failed(far('nomdn8'), { after: 'processed' })),
    one(27, failed(far('processedonly5'), { after: 'dispatched' })),
    one(28, failed(far(`delaydispatched${waitSeconds + 3}`), { after: 'dispatched', swallowed: true })),
    one(29, confirmed(far('processeddispatched6'))),
  ]
}

/** What the suites leave out and a gateway meets all the same. */
const variants: readonly TrackedDraft[] = [
  letter(
    'MT4',
    'smtp',
    'nothing',
    [failed(far('goodaddress-plain'), { after: 'processed' })],
    'processed in the clear',
  ),
  letter('MT4', 'smtp', 'nothing', [failed(far('processedlate'), { after: 'processed' })], 'processed too late'),
  letter('MT26a', 'smtp', 'dispatched', [failed(far('dispatchedonly-plain'), { after: 'processed' })], 'in the clear'),
  letter('MT26a', 'smtp', 'dispatched', [failed(far('goodaddress-stranger'), { after: 'processed' })], 'by a stranger'),
  letter('MT23a', 'smtp', 'dispatched', [failed(far('processedfailure'))], 'processed, then failed'),
  letter(
    'MT27a',
    'smtp',
    'dispatched',
    [failed(far('processedtimeoutfailure'), { after: 'dispatched' })],
    'failed late',
  ),
  letter(
    'MT28a',
    'smtp',
    'dispatched',
    [failed(far('processdelayeddispatch7'), { after: 'dispatched' })],
    'much later',
  ),
  letter('MT29a', 'smtp', 'dispatched', [confirmed(far('dispatchedfirst'))], 'dispatched comes first'),
  letter(
    'MT29a',
    'smtp',
    'dispatched',
    [{ ...confirmed(far('dispatchedtwice')), swallowed: true }],
    'dispatched comes twice',
  ),
  letter(
    'MT29a',
    'smtp',
    'dispatched',
    [
      confirmed(far('processeddispatched6')),
      failed(far('badaddress'), { kept: true }),
      failed(certless, { kept: true }),
      failed(far('nomdn8'), { after: 'processed' }),
      failed(far('processedonly5'), { after: 'dispatched' }),
    ],
    'five recipients',
  ),
]

/** DirectTrust's: handed in by SMTP, read by POP3 or IMAP. */
function directTrustCases(waitSeconds: number): readonly TrackedDraft[] {
  const one = (name: string, edge: EdgeKind, asks: Asks, owed: Owed, about = '') =>
    letter(`DT-SMTPDN-${name}`, edge, asks, [owed], about)
  return [
    one('NoPublishedCertificate', 'pop', 'dispatched', failed(certless, { kept: true })),
    one('Untrusted', 'imap', 'dispatched', failed(untrusted, { kept: true })),
    one('BadAddress', 'pop', 'dispatched', failed(far('noaddressdsn')), 'a status notice of his gateway'),
    one('BadAddress', 'imap', 'dispatched', failed(far('noaddressfailure9')), 'a failed notice'),
    one('NoProcessedMDN', 'pop', 'dispatched', failed(far('nomdn8'), { after: 'processed' })),
    one('NoDispatchedMDN', 'imap', 'dispatched', failed(far('processedonly5'), { after: 'dispatched' })),
    one(
      'DelayedDispatchedMDN',
      'pop',
      'dispatched',
      failed(far(`delaydispatched${waitSeconds + 3}`), { after: 'dispatched' }),
    ),
    one('GoodHeader', 'pop', 'dispatched', confirmed(far('processeddispatched6'))),
    one('GoodHeader', 'api', 'dispatched', confirmed(far('processeddispatched6')), 'from the Message Center'),
    one('GoodHeader', 'smtp', 'dispatched', confirmed(`here@${ourDomain}`), 'to an address of ours'),
    one(
      'GoodHeader',
      'smtp',
      'processed',
      { to: far('processedonly5'), told: 'processed', state: 'processed' },
      'only processed is asked for',
    ),
  ]
}

/** Everything that is sent; those that must be confirmed in time first. */
export function trackedDrafts(waitSeconds: number): readonly TrackedDraft[] {
  const all = [
    ...ways.flatMap((edge, at) => plainCases(edge, 1 + 4 * at)),
    ...ways.flatMap((edge, at) => confirmedCases(edge, 'abc'.charAt(at), waitSeconds)),
    letter('MT22', 'smtp', 'malformed', [{ to: far('processedonly5'), told: 'nothing', state: 'processed' }]),
    ...variants,
    ...directTrustCases(waitSeconds),
  ]
  const hurried = ({ owed }: TrackedDraft) => owed.some(({ after }) => after !== 'processed')
  return [...all.filter(hurried), ...all.filter((one) => !hurried(one))]
}

/** What must hold where the gateway is killed between the message and the timer. */
export function killedDrafts(waitSeconds: number): readonly TrackedDraft[] {
  const about = 'killed meanwhile'
  const one = (name: string, owed: Owed) => letter(`DT-SMTPDN-${name}`, 'smtp', 'dispatched', [owed], about)
  return [
    one('GoodHeader', confirmed(far('delaydispatched4'))),
    one('NoProcessedMDN', failed(far('nomdn8'), { after: 'processed' })),
    one('NoDispatchedMDN', failed(far('processedonly5'), { after: 'dispatched' })),
    one(
      'DelayedDispatchedMDN',
      failed(far(`delaydispatched${waitSeconds + 3}`), { after: 'dispatched', swallowed: true }),
    ),
  ]
}

/** The nine off-spec senders: those whose notices count all the same, and those whose do not. */
export function offSpecDrafts(shapes: readonly string[]): readonly TrackedDraft[] {
  const unreadable = new Set(['missing_disposition', 'different_msgid'])
  return shapes.flatMap((shape): readonly TrackedDraft[] => {
    const [id, to] = [`MDN-${shape}`, far(shape)]
    if (unreadable.has(shape)) {
      const owed = [failed(to, { after: 'processed' })]
      return [letter(id, 'smtp', 'nothing', owed, 'processed'), letter(id, 'smtp', 'dispatched', owed, 'dispatched')]
    }
    const silent: Owed = { to, told: 'nothing', state: 'processed' }
    return [
      letter(id, 'smtp', 'nothing', [silent], 'processed'),
      letter(id, 'smtp', 'dispatched', [confirmed(to)], 'dispatched'),
    ]
  })
}
