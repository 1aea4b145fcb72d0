import type { Apps } from '../../consent/consent.js'
import type { AppEvents } from '../../ports/app-events.js'
import type { Audit } from '../../ports/audit.js'
import type { Blobs } from '../../ports/blobs.js'
import { bodyRows, gather, keepBody, readBody } from '../../ports/body.js'
import type { Letters } from '../../ports/letters.js'
import { type SlowHash, SlowHashBusy } from '../../ports/slow-hash.js'
import { type Batch, type Store, together } from '../../ports/store.js'
import { type Vault, VaultFailed } from '../../ports/vault.js'
import type { Clock, Random } from '../../ports/world.js'
import { readAnswer } from '../answer.js'
import { type CodeLetters, newCode, readCode, showCode } from '../code.js'
import { type ConnectLimits, connectLimits } from '../limits.js'
import type { ConnectRequest, KindRules, NewRequest, RequestEnd, RequestProblem, Requests } from '../request.js'
import { envelopeFault, type LegacyEnvelope, openEnvelope } from './legacy.js'
import { type PackageLimits, packageLimits } from './limits.js'
import { isFileName, isMediaType, type ManifestFile, type PackageManifest, readManifest } from './manifest.js'
import { type Binding, externalDigest, headerFault, openSealed, sealPackage, unsealPackage } from './recipe.js'
import { contentKey, jsonIn, openJson, ownerOf, packageHeadKey, sealJson } from './rows.js'
import type { Uploads } from './uploads.js'

export interface PackagePorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly vault: Vault
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly slowHash: SlowHash
  readonly uploads: Uploads
  readonly requests: Requests
  /** Senders by their ids: the code of one who may not leave packages any more opens nothing. */
  readonly apps?: Pick<Apps, 'get'>
  /** The letter that brings the code, where the sender names an address. */
  readonly letters?: Letters
  /** Tells senders what became of their packages. */
  readonly events?: AppEvents
  /** Lets everybody else have the loop while an old envelope is deciphered. */
  readonly pause?: () => Promise<void>
}

export interface PackageOptions {
  readonly limits: PackageLimits
  readonly answerLimits: Pick<ConnectLimits, 'answerLeast' | 'answerMost' | 'rounds'>
  readonly answers: 'folded' | 'exact'
  /** Page where a code is entered, `https://…`; the code is put behind it. Without it no letter is written. */
  readonly pickupUrl?: string
  /** Takes envelopes of HealthVault's, which are weakly encrypted; no by default. */
  readonly legacyEnvelope: boolean
}

/** A file of a package, as its sender names it; the upload is finished. */
export interface NamedUpload {
  readonly upload: string
  readonly name: string
  readonly mediaType: string
}

/** What a sender leaves: in the open, to be encrypted here; encrypted already; or in HealthVault's envelope. */
export type NewContent =
  | {
      readonly kind: 'open'
      /** Not kept: it is in the key. */
      readonly answer: string
      readonly items: readonly unknown[]
      readonly files: readonly NamedUpload[]
    }
  | {
      readonly kind: 'sealed'
      /** By the recipe, for a code and a package that were allocated before. */
      readonly jwe: string
      /** Uploads that it names inside, each encrypted by the sender too. */
      readonly uploads: readonly string[]
    }
  | { readonly kind: 'legacy'; readonly envelope: LegacyEnvelope }

export interface NewPackage extends Omit<NewRequest, 'kind' | 'owner' | 'answer' | 'payload' | 'code' | 'allocated'> {
  readonly externalId: string
  readonly question: string
  /** A code that was allocated before, as its owner keeps it. */
  readonly code?: string
  readonly content: NewContent
}

/** What a sender got wrong, with HealthVault's number. */
export const packageProblems = {
  'bad-content': 120,
  'bad-file': 120,
  'upload-not-committed': 112,
  'not-enabled': undefined,
  /** A package that its sender encrypts needs its code first. */
  'needs-code': undefined,
} as const satisfies Record<string, number | undefined>
export type PackageProblem = keyof typeof packageProblems

export interface PackageRefused {
  readonly kind: 'refused'
  readonly problem: PackageProblem | RequestProblem
  /** Where, without a word of what is there. */
  readonly detail?: string
}

export type CreatedPackage =
  | { readonly kind: 'created'; readonly request: ConnectRequest; readonly code: string; readonly url?: string }
  | PackageRefused
  /** Too many keys are being made: again in a moment. */
  | { readonly kind: 'busy' }

/** What a right answer opened. */
export type OpenedPackage =
  | { readonly kind: 'items'; readonly manifest: PackageManifest }
  /** Things of HealthVault's, as XML without an element around them. */
  | { readonly kind: 'things'; readonly xml: Uint8Array }
  | { readonly kind: 'malformed'; readonly detail: string }

export interface Packages {
  /** A code before what it opens, and the id that a sender who encrypts by himself binds the package to. */
  allocate(
    app: string,
    by: string,
  ): Promise<{ readonly kind: 'allocated'; readonly id: string; readonly code: string } | PackageRefused>
  /** Leaves a package, in one commit with its request. `more` is what must be true with it: a letter. */
  create(
    app: string,
    given: NewPackage,
    by: string,
    more?: (created: { request: ConnectRequest; code: string }) => Batch,
  ): Promise<CreatedPackage>
  /** What the machine of pickup codes asks of this kind. */
  readonly rules: KindRules
  /** Opens with what a ticket handed out. */
  open(request: ConnectRequest, secret: Uint8Array): Promise<OpenedPackage>
  /** The bytes of a file that an opened package names. Throws VaultFailed where they are not what came. */
  file(request: ConnectRequest, file: ManifestFile): Promise<AsyncIterable<Uint8Array> | undefined>
}

/** A package as its row has it. */
interface HeadRow {
  readonly made: NewContent['kind']
  readonly binding: Binding
  readonly createdAt: number
  readonly uploads: readonly string[]
  /** Keys of uploads whose names the sender encrypted; their content is encrypted once more inside. */
  readonly keys?: Readonly<Record<string, string>>
}

export const packageOptions: PackageOptions = {
  limits: packageLimits,
  answerLimits: connectLimits,
  answers: 'folded',
  legacyEnvelope: false,
}

/** Opens packages over the machine of pickup codes, which must be given their `rules`. */
export function openPackages(ports: PackagePorts, options: Partial<PackageOptions> = {}): Packages {
  const { store, vault, uploads, requests, slowHash, random, clock, audit } = ports
  const { limits, answers, legacyEnvelope, answerLimits, pickupUrl } = { ...packageOptions, ...options }

  /** Commits what `make` answers until nobody was first. */
  async function committing<T extends { readonly kind: string }>(
    make: () => Promise<{ readonly parts: Batch; readonly value: T } | { readonly refused: PackageRefused }>,
  ): Promise<T | PackageRefused> {
    for (let round = 0; round < answerLimits.rounds; round++) {
      const made = await make()
      if ('refused' in made) return made.refused
      if ((await store.commit(made.parts)).kind === 'committed') return made.value
    }
    throw new Error(`Somebody else was first ${answerLimits.rounds} times`)
  }

  const audited = (action: string, by: string, subject: Record<string, string>): Batch => ({
    append: [audit.entry({ at: clock.now(), action, actor: by, subject, outcome: 'success' })],
  })

  const allocate: Packages['allocate'] = async (app, by) =>
    committing(async () => {
      const made = await requests.allocate('package', app)
      if ('problem' in made) return { refused: made }
      const { id, code } = made
      const value = { kind: 'allocated' as const, id, code }
      return { parts: together(made.parts, audited('package.allocated', by, { app, request: id })), value }
    })

  /** The rows of a package and what it takes over; the content is encrypted once, whatever is tried again after. */
  async function contentParts(
    binding: Binding,
    letters: CodeLetters,
    content: NewContent,
  ): Promise<
    { readonly head: HeadRow; readonly body: Uint8Array; readonly uploads: readonly string[] } | PackageRefused
  > {
    const head = { made: content.kind, binding, createdAt: clock.now(), uploads: [] }
    switch (content.kind) {
      case 'open': {
        const answer = readAnswer(content.answer, answers, answerLimits)
        if (answer === undefined) return refused('bad-answer')
        const files = await filesOf(binding.app, content.files)
        if ('problem' in files) return files
        const manifest = Buffer.from(JSON.stringify({ v: 1, items: content.items, files }))
        const read = readManifest(manifest, limits)
        if (read.kind === 'malformed') return refused('bad-content', read.detail)
        const half = Buffer.from(letters, 'latin1')
        const jwe = await sealPackage({ slow: slowHash, random }, { answer, half }, binding, manifest)
        const named = files.map(({ upload }) => upload)
        return { head: { ...head, uploads: named }, body: Buffer.from(jwe, 'latin1'), uploads: named }
      }
      case 'sealed': {
        const fault = headerFault(content.jwe, binding, slowHash.cost, limits.manifestBytes)
        if (fault !== undefined) return refused('bad-content', fault)
        if (content.uploads.length > limits.filesPerPackage) return refused('bad-file', 'uploads')
        const body = Buffer.from(content.jwe, 'latin1')
        return { head: { ...head, uploads: content.uploads }, body, uploads: content.uploads }
      }
      case 'legacy': {
        if (!legacyEnvelope) return refused('not-enabled')
        const fault = envelopeFault(content.envelope)
        if (fault !== undefined) return refused('bad-content', fault)
        const { ciphertext, ...told } = content.envelope
        const kept = { ...told, ciphertext: Buffer.from(ciphertext).toString('base64') }
        return { head, body: Buffer.from(JSON.stringify(kept)), uploads: [] }
      }
    }
  }

  async function filesOf(
    app: string,
    named: readonly NamedUpload[],
  ): Promise<readonly ManifestFile[] | PackageRefused> {
    if (named.length > limits.filesPerPackage) return refused('bad-file', 'files')
    for (const [index, { name, mediaType }] of named.entries())
      if (!isFileName(name, limits) || !isMediaType(mediaType)) return refused('bad-file', `files.${index}`)
    const taken = await uploads.take(
      app,
      named.map(({ upload }) => upload),
    )
    if ('problem' in taken) return refused('upload-not-committed')
    return named.map(({ name, mediaType }, index) => {
      const { file } = taken[index] ?? {}
      if (!file) throw new Error('An upload was not taken')
      return { name, mediaType, ...file }
    })
  }

  const create: Packages['create'] = async (app, given, by, more = () => ({})) => {
    const { code, content, ...words } = given
    const named = code === undefined ? undefined : readCode(code)
    if (code !== undefined && named === undefined) return refused('no-such-code')
    if (content.kind === 'sealed' && named === undefined) return refused('needs-code')
    // The one that was allocated says which package it is; any other is named here.
    const before = named && (await requests.get(app, { code: named }))
    if (named && before?.kind !== 'package') return refused('no-such-code')
    if (before && before.state !== 'allocated') return refused(before.state === 'expired' ? 'no-such-code' : 'exists')
    const id = before?.id ?? Buffer.from(random.bytes(16)).toString('hex')
    const letters = named ?? newCode(random)
    const binding = { package: id, app, external: externalDigest(id, given.externalId) }
    const made = await contentParts(binding, letters, content).catch((error: unknown) => {
      if (error instanceof SlowHashBusy) return { kind: 'busy' as const }
      throw error
    })
    if ('kind' in made) return made

    return committing(async () => {
      const whose = named ? { allocated: named } : { code: letters }
      const request = await requests.create({
        ...words,
        kind: 'package',
        owner: app,
        ...whose,
        payload: { package: id },
      })
      if (request.kind === 'refused') return { refused: request }
      const taken = await uploads.take(app, made.uploads)
      if ('problem' in taken) return { refused: refused('upload-not-committed') }
      const bytes = taken.reduce((sum, { file }) => sum + file.sizeBytes, 0)
      if (bytes > limits.packageBytes) return { refused: refused('bad-file', 'files') }
      const keys = Object.fromEntries(taken.map(({ file }) => [file.upload, file.key]))
      const head = made.head.made === 'sealed' ? { ...made.head, keys } : made.head
      const headKey = packageHeadKey(app, id)
      const shown = showCode(letters)
      const url = pickupUrl === undefined ? {} : { url: `${pickupUrl}?code=${shown}` }
      const value = { kind: 'created' as const, request: request.request, code: shown, ...url }
      const parts = together(
        request.parts,
        ...taken.map((one) => one.parts),
        await keepBody(ports, ownerOf(app), contentKey(app, id), made.body),
        {
          require: [{ key: headKey, version: 'absent' }],
          put: [{ key: headKey, value: await sealJson(vault, ownerOf(app), headKey, head) }],
        },
        audited('package.created', by, { app, request: request.request.id }),
        await letterOf(value),
        more(value),
      )
      return { parts, value }
    })
  }

  async function load({ owner, payload }: ConnectRequest) {
    const key = packageHeadKey(owner, payload['package'] ?? '')
    const row = await store.get(key)
    if (!row) return undefined
    const head = await openJson<HeadRow>(vault, ownerOf(owner), key, row.value)
    const at = contentKey(owner, head.binding.package)
    const body = await readBody(ports, ownerOf(owner), at)
    return body && { head, content: await gather(body) }
  }

  /** The letter that brings the code: never the question, nor a word of what is inside. */
  async function letterOf({ request, code, url }: Extract<CreatedPackage, { kind: 'created' }>): Promise<Batch> {
    const { id, owner, email, language = 'en' } = request
    const app = email === undefined ? undefined : await ports.apps?.get(owner)
    if (!ports.letters || email === undefined || url === undefined || !app) return {}
    return ports.letters.letter({ email, language }, { kind: 'drop-off', clinic: app.name, url, code }, `package ${id}`)
  }

  /** Tells the sender how it ended: that, and nothing of who or where. */
  async function tell(request: ConnectRequest, end: RequestEnd): Promise<Batch> {
    const word = { claimed: 'claimed', rejected: 'rejected', refused: 'rejected', locked: 'locked', expired: 'expired' }
    const type = Object.entries(word).find(([one]) => one === end)?.[1]
    if (type === undefined) return {}
    const { id, owner, rejectedAt, endedAt } = request
    const at = (end === 'rejected' ? rejectedAt : (endedAt ?? rejectedAt)) ?? clock.now()
    const data = { request: id, ...(type === 'rejected' && { final: end === 'refused' }) }
    return (await ports.events?.event(owner, { type: `package.${type}`, at, data }, `package.${end} ${id} ${at}`)) ?? {}
  }

  const rules: KindRules = {
    async opens({ owner }) {
      if (!ports.apps) return true
      const app = await ports.apps.get(owner)
      return app?.state === 'active' && app.may.includes('drop-off')
    },
    async verify(request, answer, letters) {
      const found = await load(request).catch(ifDamaged)
      if (!found) return { kind: 'damaged' }
      const { head, content } = found
      if (head.made === 'legacy') {
        const things = await openEnvelope(envelopeIn(content), answer, ports.pause)
        // The envelope has no key to be handed on but the answer itself.
        return things ? { kind: 'right', secret: Buffer.from(answer) } : { kind: 'wrong' }
      }
      const secret = { answer, half: Buffer.from(letters, 'latin1') }
      const opened = await unsealPackage(slowHash, secret, head.binding, Buffer.from(content).toString('latin1'))
      if (opened.kind === 'wrong') return { kind: 'wrong' }
      return opened.kind === 'malformed' ? { kind: 'damaged' } : { kind: 'right', secret: opened.key }
    },
    async ended(request, end) {
      const told = await tell(request, end)
      if (end === 'rejected' || end === 'authorized') return told
      const { owner, payload } = request
      const id = payload['package']
      return id === undefined ? told : together(told, await forgotten(owner, id))
    },
  }

  /** What must be committed so that a package cannot be opened any more: its key's rows at once, its blobs as they are swept. */
  async function forgotten(app: string, id: string): Promise<Batch> {
    const headKey = packageHeadKey(app, id)
    const at = contentKey(app, id)
    const [head, content] = await Promise.all([store.get(headKey), store.get(at)])
    const row = head && (await openJson<HeadRow>(vault, ownerOf(app), headKey, head.value).catch(ifDamaged))
    const files = await Promise.all((row?.uploads ?? []).map((upload) => uploads.forget(upload)))
    return together({ del: [headKey, ...(content ? bodyRows(content) : [])] }, ...files)
  }

  return {
    allocate,
    create,
    rules,
    async open(request, secret) {
      const found = await load(request)
      if (!found) return { kind: 'malformed', detail: 'it is gone' }
      const { head, content } = found
      if (head.made === 'legacy') {
        const xml = await openEnvelope(envelopeIn(content), Buffer.from(secret).toString(), ports.pause)
        return xml ? { kind: 'things', xml } : { kind: 'malformed', detail: 'it does not open' }
      }
      const opened = await openSealed(secret, Buffer.from(content).toString('latin1'))
      if (opened.kind === 'wrong') return { kind: 'malformed', detail: 'it does not open' }
      if (opened.kind === 'malformed') return opened
      const read = readManifest(opened.content, limits)
      if (read.kind === 'malformed') return read
      // A sender who encrypts may name any upload; only those that came with the package are read.
      const strange = read.manifest.files.findIndex(({ upload }) => !head.uploads.includes(upload))
      if (strange >= 0) return { kind: 'malformed', detail: `files.${strange}` }
      return { kind: 'items', manifest: read.manifest }
    },
    async file(request, file) {
      const found = await load(request)
      const key = file.key ?? found?.head.keys?.[file.upload]
      if (!found?.head.uploads.includes(file.upload) || key === undefined) return undefined
      const { upload, sizeBytes, sha256 } = file
      return uploads.read({ upload, key, sizeBytes, sha256 })
    },
  }
}

function refused(problem: PackageRefused['problem'], detail?: string): PackageRefused {
  return { kind: 'refused', problem, ...(detail !== undefined && { detail }) }
}

function envelopeIn(content: Uint8Array): LegacyEnvelope {
  const { ciphertext, ...told } = jsonIn<Omit<LegacyEnvelope, 'ciphertext'> & { readonly ciphertext: string }>(content)
  return { ...told, ciphertext: Buffer.from(ciphertext, 'base64') }
}

/** A damaged row is for whoever mends it: it costs the holder of the code no attempt. */
function ifDamaged(error: unknown): undefined {
  if (!(error instanceof VaultFailed) && !(error instanceof SyntaxError)) throw error
}
