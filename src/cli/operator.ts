import type { Config } from '../config/settings.js'
import type { Apps } from '../consent/consent.js'
import type { Directory } from '../directory/directory.js'
import type { Bundles } from '../pipeline/bundles.js'
import type { Certificates } from '../pipeline/certificates.js'
import type { Explained, ExplainQuestion } from '../pipeline/explain.js'
import type { Queues } from '../pipeline/queue.js'
import type { TokenKeys } from '../pipeline/token-keys.js'
import type { AuditReport } from '../ports/audit.js'
import type { WebhookDesk } from '../ports/webhooks.js'
import type { Clock } from '../ports/world.js'
import type { Quarantine } from '../spool/quarantine.js'
import type { Trail } from '../spool/trail.js'

/** What commands need of an open gateway. `main.ts` makes one from the store it opened; commands know no store. */
export interface Operator {
  readonly directory: Directory
  /** Names of the systems that mail of addresses may go on to. */
  readonly edgeSystems: readonly string[]
  readonly trail: Pick<Trail, 'read' | 'find'>
  readonly quarantine: Pick<Quarantine, 'list' | 'get'> & {
    /** Queues the message again for the recipients it was refused for, audited; false where there is none. */
    judgeAgain(spoolId: string, by: string): Promise<boolean>
    /** Removes all that was refused longer than `olderThanMs` ago; answers how many messages. */
    purge(olderThanMs: number, by: string): Promise<number>
  }
  /** What waits, one by one, and what may be done to it. */
  readonly queues: Queues
  /** Programs that are told of events. */
  readonly webhooks: WebhookDesk
  readonly audit: AuditReport & {
    /** Walks the whole chain of the audit log, which must contain the heads that are known. */
    verify(known?: readonly AuditHead[]): Promise<ChainVerdict>
  }
  readonly pki: OperatorPki
  /** Loading of trust bundles; what is kept of them is in the directory. */
  readonly bundles: Bundles
  /** How mail between addresses is decided, and why; asks the network as a message would. */
  explain(question: ExplainQuestion): Promise<Explained>
  /** Authorities, registrations and endings. */
  readonly certificates: Pick<Certificates, 'authority' | 'registrations' | 'endings'>
  /** Keys in a PKCS#11 token; absent where none is configured. */
  readonly tokenKeys?: TokenKeys
  readonly upkeep: Upkeep
  /** Applications; absent where the gateway has none. */
  readonly apps: Apps
  readonly clock: Clock
}

/** A place in the audit log that was written down: sequence number and link in lower-case hex. */
export interface AuditHead {
  readonly sequence: number
  readonly link: string
}

export interface UpkeepFinding {
  readonly kind: string
  readonly row: string
  readonly family?: string
  readonly detail: string
}

/** Told now and then while something long goes on; a line for people. */
export type UpkeepProgress = (words: string) => void

/** Where a long stream of bytes goes; `end` answers when it would survive a power cut. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>
  end(): Promise<void>
}

/** Looking after what lasts; see src/upkeep. */
export interface Upkeep {
  /** Walks everything. With `setAside`, damaged entries are moved to a file afterwards, audited under that name. */
  verify(
    options: { readonly known: readonly AuditHead[]; readonly setAside?: string },
    finding: (finding: UpkeepFinding) => void,
    progress: UpkeepProgress,
  ): Promise<{
    readonly rows: number
    readonly bytes: number
    readonly blobs: number
    readonly findings: number
    readonly head: AuditHead
    readonly aside?: { readonly rows: number; readonly file: string }
  }>
  stats(progress: UpkeepProgress): Promise<{
    readonly families: readonly {
      readonly family: string
      readonly kind: string
      readonly rows: number
      readonly bytes: number
      readonly owners?: number
    }[]
    readonly queues: readonly {
      readonly queue: string
      readonly jobs: number
      readonly bytes: number
      readonly oldestDueAt: number
      readonly mostAttempts: number
    }[]
    readonly blobs: { readonly held: number; readonly stored: number; readonly bytes: number; readonly orphans: number }
    readonly rows: number
    readonly bytes: number
    readonly head: AuditHead
  }>
  /** Everything of one moment into `sink`; refused where what there is could not be restored. */
  backup(
    sink: ByteSink,
    by: string,
    progress: UpkeepProgress,
  ): Promise<
    | {
        readonly kind: 'made'
        readonly rows: number
        readonly blobs: number
        readonly bytes: number
        readonly digest: string
      }
    | { readonly kind: 'refused'; readonly detail: string }
  >
  /** Moves everything to other homes. */
  migrate(
    target: MoveTarget,
    progress: UpkeepProgress,
  ): Promise<
    | { readonly kind: 'moved' | 'copied'; readonly rows: number; readonly blobs: number }
    | { readonly kind: 'refused'; readonly detail: string }
  >
}

/** The text of another configuration with a name for it; without text `name` is a kind of store, for this configuration. */
export interface MoveTarget {
  readonly name: string
  readonly text?: string
}

export type RestoreOutcome =
  | { readonly kind: 'restored'; readonly rows: number; readonly blobs: number; readonly madeAt: string }
  /** Rows that `verify --quarantine` set aside are back where their places were free. */
  | { readonly kind: 'rows-back'; readonly rows: number; readonly back: number }
  | { readonly kind: 'refused'; readonly detail: string }

export type ChainVerdict =
  | { readonly kind: 'intact'; readonly entries: number; readonly head: AuditHead }
  | { readonly kind: 'broken'; readonly sequence: number; readonly detail: string }

/** The file formats of certification authorities. */
export interface OperatorPki {
  /** Opens a PKCS#12 file: the one key in it, its certificate and the others, all DER. */
  openPkcs12(file: Uint8Array, passphrase: string): Promise<Pkcs12Outcome>
}

export type Pkcs12Outcome =
  | {
      readonly kind: 'opened'
      readonly pkcs8: Uint8Array
      readonly certificate: Uint8Array
      readonly chain: readonly Uint8Array[]
    }
  | { readonly kind: 'refused'; readonly detail: string }

/** A configuration with the master key that the environment held, if it did. */
export interface Settled {
  readonly config: Config
  readonly masterKey?: string
}

/** What only the process that the operator started can do. `main.ts` gives it; a command run by the server has none. */
export interface Home {
  readonly version: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly print: (text: string) => void
  readonly printError: (text: string) => void
  /** A new master key as text. */
  createMasterKey(): string
  /** Opens the store of this configuration for one command; refused where the key does not fit or another process has it. */
  open(settled: Settled): Promise<OperatorOutcome>
  /** Runs the gateway until it is told to stop; answers the exit code. */
  serve(settled: Settled): Promise<number>
  demo(options: { readonly once: boolean; readonly connections?: boolean }): Promise<number>
  /** Puts a backup into the empty homes of this configuration, while no gateway runs. */
  restore?(settled: Settled, file: string, progress: UpkeepProgress): Promise<RestoreOutcome>
  /** Takes away the mark of a store that was moved; answers false where there is none. */
  undoMark?(settled: Settled): Promise<boolean>
  /** Somebody watches stderr: progress is shown as it comes. */
  readonly watched?: boolean
}

export type OperatorOutcome =
  | { readonly kind: 'opened'; readonly operator: Operator; close(): Promise<void> }
  | { readonly kind: 'refused'; readonly detail: string }

/** Options that every command has. */
export interface GlobalOptions {
  readonly config?: string
  readonly dataDir?: string
  readonly json?: boolean
}

/** What a command runs in: the operator's own process, or the server on its behalf. */
export interface Context {
  print(text: string): void
  printError(text: string): void
  /** A file of the operator's, at most `cliLimits.fileBytes`. Throws CommandFailed where it cannot be read. */
  readFile(path: string): Promise<Uint8Array>
  /** Writes a new file of the operator's; a secret one for the owner alone. Throws CommandFailed where it exists. */
  writeFile(path: string, bytes: Uint8Array, kind: 'open' | 'secret'): Promise<void>
  /** Begins a new file of the operator's, for its owner alone, or with `-` standard output. Throws CommandFailed where it exists. */
  createFile?(path: string): Promise<ByteSink>
  /** Shows how far something is, where somebody watches. */
  progress?(words: string): void
  /** Runs work on the open gateway, in whichever process has it; answers the exit code. */
  withOperator(options: GlobalOptions, work: (operator: Operator) => Promise<number>): Promise<number>
  /** Absent in the server. */
  readonly home?: Home
}

export const exitCodes = {
  done: 0,
  /** Something was refused, not found or not intact; the words say what. */
  refused: 1,
  /** The command line or the configuration is wrong; nothing was done. */
  usage: 2,
  /** `serve` (sysexits.h EX_TEMPFAIL): something passing; a supervisor starts it again. */
  tryAgain: 75,
  /** `serve` (EX_CONFIG): a person must act. */
  misconfigured: 78,
} as const

export const cliLimits = {
  /** Certificates, keys and PKCS#12 files have a few KiB; a bundle of anchors some hundred. */
  fileBytes: 4 * 1024 * 1024,
  /** One line over the control socket: such a file in base64. */
  lineBytes: 6 * 1024 * 1024,
  /** Commands at once over the control socket. */
  sessions: 8,
  /** For a client to say what it wants, and to hand over a file. */
  answerMs: 10_000,
  /** One message of a long stream of bytes, before base64. */
  chunkBytes: 1024 * 1024,
  /** For a client to take one: it may go into a pipe that leads far away. */
  chunkMs: 10 * 60_000,
  /** A long file is synced this often, so that its end comes soon. */
  syncBytes: 64 * 1024 * 1024,
}

/** Ends a command: its message is for the operator, its code is the exit code. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed'
  readonly code: number

  constructor(message: string, code: number = exitCodes.refused) {
    super(message)
    this.code = code
  }
}
