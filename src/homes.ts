import { mkdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import type { Config } from './config/settings.js'
import type { Blobs } from './ports/blobs.js'
import { type Store, StoreFailed } from './ports/store.js'
import type { Clock } from './ports/world.js'
import { openFileBlobs } from './store/blobs.js'
import { openLevelStore } from './store/level/level.js'
import { openPostgresBlobs } from './store/postgres/blobs.js'
import type { PostgresOptions } from './store/postgres/options.js'
import { openPostgresStore } from './store/postgres/postgres.js'
import { openS3Blobs } from './store/s3/blobs.js'

/** Where what lasts is kept. */
export interface Homes {
  readonly store: Store
  readonly blobs: Blobs
  /** Closes both. */
  close(): Promise<void>
}

/** Told when a store that other processes share is lost and found. */
export type OnStoreChange = NonNullable<PostgresOptions['onChange']>

/**
 * Opens the store and the blobs that the configuration names, and the data folder, which everybody needs. Throws StoreFailed, with what to do about it, where one
 * cannot be opened.
 */
export async function openHomes(config: Config, clock: Clock, onChange: OnStoreChange = () => {}): Promise<Homes> {
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
  const store = await openStore(config, clock, onChange)
  try {
    const { blobs, close } = await openBlobs(config, clock)
    return {
      store,
      blobs,
      async close() {
        await store.close()
        await close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

async function openStore(config: Config, clock: Clock, onChange: OnStoreChange): Promise<Store> {
  if (config.store.kind === 'level') return openLevelStore(join(config.dataDir, 'store'), clock)
  return openPostgresStore({ ...postgresOptions(config), onChange })
}

async function openBlobs(config: Config, clock: Clock): Promise<{ blobs: Blobs; close(): Promise<void> }> {
  const { blobs: settings, dataDir, store } = config
  const kind = settings.kind === 'auto' ? (store.kind === 'postgres' ? 'database' : 'files') : settings.kind
  switch (kind) {
    case 'files':
      return alone(await openFileBlobs(settings.directory ?? join(dataDir, 'blobs'), clock))
    case 'database': {
      const blobs = await openPostgresBlobs(postgresOptions(config))
      return { blobs, close: () => blobs.close() }
    }
    case 's3': {
      const blobs = await openS3Blobs(s3Options(config), clock)
      return { blobs, close: async () => blobs.close() }
    }
  }
}

function alone(blobs: Blobs) {
  return { blobs, close: async () => {} }
}

function postgresOptions({ store: { postgres } }: Config): PostgresOptions {
  const { passwordFile, caFile, tls } = postgres
  return {
    urls: [postgres.url ?? ''],
    schema: postgres.schema,
    poolSize: postgres.connections,
    requireStandby: postgres.requireStandby,
    // Read at every connection, so that a changed password needs no restart.
    ...(passwordFile && { password: async () => secretOf(await readFile(passwordFile, 'utf8')) }),
    tls: { ...(tls !== 'auto' && { mode: tls }), ...(caFile && { ca: fileOf(caFile) }) },
  }
}

function s3Options({ blobs: { s3 }, dataDir }: Config) {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env
  return {
    endpoint: s3.endpoint ?? '',
    region: s3.region,
    bucket: s3.bucket ?? '',
    prefix: s3.prefix,
    forcePathStyle: s3.pathStyle,
    accessKeyId: s3.accessKeyId ?? AWS_ACCESS_KEY_ID ?? '',
    secretAccessKey: s3.secretAccessKeyFile ? secretOf(fileOf(s3.secretAccessKeyFile)) : (AWS_SECRET_ACCESS_KEY ?? ''),
    ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }),
    ...(s3.caFile && { ca: fileOf(s3.caFile) }),
    draftDirectory: join(dataDir, 'drafts'),
  }
}

/** Editors and `echo` end a file with a line break; no secret does. */
const secretOf = (text: string) => text.replace(/\r?\n$/, '')

function fileOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new StoreFailed(`${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
