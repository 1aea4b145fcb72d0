import { type DirectAddress, type DirectDomain, parseAddress } from '../direct/address.js'
import type { Address, Directory, Standing } from '../directory/directory.js'
import type { DirectoryProblem } from '../directory/problem.js'
import type { Clock, Random } from '../ports/world.js'
import { type FirstCertificatePorts, firstCertificate, firstCertificateJob } from './first-certificate.js'
import { newcomerName } from './newuser-subject.js'
import { suggestNames } from './suggest-names.js'

/** How many, with reasons; all but `people` are settings. */
export const activationLimits = {
  /** Addresses of one record: one for each clinic network that is strict about names, and one to spare. */
  perRecord: 3,
  /** Names suggested at once: what fits under a field. */
  suggestions: 5,
  /** Questions of one caller whether names are free, and takings: a person tries some names, a list of names is no person. */
  questions: { perSecond: 1 / 30, burst: 20 },
  /** Callers remembered; the one quiet for longest is forgotten, which only ever favours a caller. */
  people: 20_000,
}

export type ActivationSettings = typeof activationLimits

/** An address of a record, and how far it is. */
export interface RecordAddress {
  readonly address: DirectAddress
  /** Undefined where its domain is not served any more. */
  readonly standing: Standing | undefined
  /** `waiting`: asked for and not had. `none`: nobody could be asked; it is tried again by itself. */
  readonly certificate: 'issued' | 'waiting' | 'none'
  /** Unix milliseconds. */
  readonly createdAt: number
}

/** Why an address was not activated or changed, with HealthVault's status where it has one. */
export const activationProblems = {
  taken: 168,
  invalid: 169,
  'too-many': 170,
  unknown: 171,
  wait: undefined,
  conflict: undefined,
} as const satisfies Record<string, number | undefined>
export type ActivationProblem = keyof typeof activationProblems

export interface ActivationRefused {
  readonly kind: 'refused'
  readonly problem: ActivationProblem
  readonly detail: string
  /** For `wait`. */
  readonly waitMs?: number
}

/** How records come to Direct addresses. Who asks was proven to be a custodian of the record before. */
export interface Activation {
  /** Domains in which people may take addresses. */
  domains(): Promise<readonly DirectDomain[]>
  /** Free addresses made of a name that was told, or of plain words where it has no letters that an address may have. */
  suggest(name: string, by: string): Promise<readonly DirectAddress[] | ActivationRefused>
  /** Whether an address could be activated now. */
  check(
    address: string,
    by: string,
  ): Promise<{ readonly kind: 'free'; readonly address: DirectAddress } | ActivationRefused>
  /**
   * Takes an address for a record, in one commit with the job that gets its certificate, which is asked for at once as well.
   * The same address for the same record again changes nothing.
   */
  activate(
    record: string,
    address: string,
    by: string,
  ): Promise<{ readonly kind: 'activated'; readonly address: RecordAddress } | ActivationRefused>
  list(record: string): Promise<readonly RecordAddress[]>
  /** Stops or resumes taking mail. `unknown` for an address of another record. */
  setDisabled(
    record: string,
    address: string,
    disabled: boolean,
    by: string,
  ): Promise<{ readonly kind: 'changed'; readonly address: RecordAddress } | ActivationRefused>
  /** Sees to it that `newuser@` every open domain has a certificate. Safe to run as often as one likes. */
  prepare(): Promise<void>
}

export interface ActivationPorts extends FirstCertificatePorts {
  readonly directory: Pick<Directory, 'addresses' | 'domains' | 'keys'>
  readonly clock: Clock
  readonly random: Random
}

const problemOf: Partial<Record<DirectoryProblem, ActivationProblem>> = {
  'already-exists': 'taken',
  'name-reserved': 'taken',
  'too-many': 'too-many',
  'changed-meanwhile': 'conflict',
}

export function openActivation(ports: ActivationPorts, settings: ActivationSettings = activationLimits): Activation {
  const { directory, store, clock } = ports
  const { addresses } = directory
  const questions = openQuestions(clock, settings)

  async function view({ address, createdAt }: Address): Promise<RecordAddress> {
    const keys = await directory.keys.list(address)
    const usable = keys.some(({ retired, notAfter }) => !retired && clock.now() <= notAfter)
    const waits = async () => (await ports.registrations.list()).some(({ owner }) => owner === address)
    const certificate = usable ? 'issued' : (await waits()) ? 'waiting' : 'none'
    return { address, standing: await addresses.standing(address), certificate, createdAt }
  }

  async function ownOf(record: string, text: string): Promise<Address | undefined> {
    const address = parseAddress(text)
    const known = address && (await addresses.get(address))
    return known?.record === record ? known : undefined
  }

  const domains: Activation['domains'] = async () =>
    (await directory.domains.list()).flatMap(({ domain, policy }) => (policy.activation === 'open' ? [domain] : []))

  const activate: Activation['activate'] = async (record, text, by) => {
    const own = await ownOf(record, text)
    if (!own) {
      const wait = questions.take(by)
      if (wait) return wait
      const address = parseAddress(text)
      const also = address ? { enqueue: [firstCertificateJob(address, clock.now())] } : {}
      const added = await addresses.activate(text, record, by, { most: settings.perRecord, also })
      if (added.kind === 'refused') return refused(added.problem, added.detail)
    }
    const known = own ?? (await ownOf(record, text))
    if (!known) return { kind: 'refused', problem: 'unknown', detail: text }
    // Now, so that the person sees it; the job does the same where this process ends here.
    await firstCertificate(known.address, by, ports)
    return { kind: 'activated', address: await view(known) }
  }

  return {
    domains,
    activate,
    async suggest(name, by) {
      const wait = questions.take(by)
      if (wait) return wait
      const [domain] = await domains()
      if (!domain) return { kind: 'refused', problem: 'invalid', detail: 'no domain is open to activation' }
      const free: DirectAddress[] = []
      for (const local of suggestNames(name, ports.random)) {
        const may = await addresses.mayActivate(`${local}@${domain}`)
        if (may.kind === 'free') free.push(may.address)
        if (free.length >= settings.suggestions) break
      }
      return free
    },
    async check(text, by) {
      const wait = questions.take(by)
      if (wait) return wait
      const may = await addresses.mayActivate(text)
      return may.kind === 'free' ? may : refused(may.problem, may.detail)
    },
    async list(record) {
      const known = await addresses.ofRecord(record)
      return Promise.all(known.map(view))
    },
    async setDisabled(record, text, disabled, by) {
      const own = await ownOf(record, text)
      if (!own) return { kind: 'refused', problem: 'unknown', detail: text }
      const done = await addresses.setDisabled(own.address, disabled, by)
      if (done.kind === 'refused') return refused(done.problem, done.detail)
      // What had no certificate when it was disabled may have one now.
      if (!disabled) await store.commit({ enqueue: [firstCertificateJob(own.address, clock.now())] })
      return { kind: 'changed', address: await view(own) }
    },
    async prepare() {
      for (const domain of await domains()) {
        const address = `${newcomerName}@${domain}` as DirectAddress
        const known = await directory.keys.list(address)
        if (known.some(({ retired }) => !retired)) continue
        // Due at once: nobody waits at a page and asks himself.
        await store.commit({ enqueue: [firstCertificateJob(address, clock.now(), 0)] })
      }
    },
  }
}

function refused(problem: DirectoryProblem, detail: string): ActivationRefused {
  return { kind: 'refused', problem: problemOf[problem] ?? 'invalid', detail }
}

/** Token buckets by who asks: whether a name is free is told, but no list of names. */
function openQuestions(clock: Clock, { questions, people }: ActivationSettings) {
  const buckets = new Map<string, { readonly level: number; readonly at: number }>()
  return {
    take(by: string): ActivationRefused | undefined {
      const at = clock.now()
      const known = buckets.get(by) ?? { level: questions.burst, at }
      const gained = (Math.max(0, at - known.at) / 1000) * questions.perSecond
      const level = Math.min(questions.burst, known.level + gained)
      buckets.delete(by)
      buckets.set(by, { level: level >= 1 ? level - 1 : level, at })
      if (buckets.size > people) buckets.delete(buckets.keys().next().value ?? '')
      if (level >= 1) return undefined
      const waitMs = Math.ceil(((1 - level) / questions.perSecond) * 1000)
      return { kind: 'refused', problem: 'wait', detail: 'too many names were asked for', waitMs }
    },
  }
}
