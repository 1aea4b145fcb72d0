import type { Session } from './session.js'

export interface Migration {
  readonly number: number
  readonly says: string
  readonly up: string
  /** The way back, for a person to run with psql while no gateway runs. It says what it loses. */
  readonly down: string
}

/**
 * The tables, step by step; never change one that was released. Keys, names and ids are `bytea`, so that their order is that of
 * their UTF-8 bytes whatever the collation, and NUL may be in them. Values are ciphertext: EXTERNAL spares the server the
 * attempt to compress them. Held jobs are updated in place (no index names `held_until`), for which pages keep room.
 */
export const migrations: readonly Migration[] = [
  {
    number: 1,
    says: 'Entries, queues and chained logs',
    up: `
      CREATE TABLE entry (key bytea PRIMARY KEY, version bigint NOT NULL, value bytea NOT NULL);
      ALTER TABLE entry ALTER COLUMN value SET STORAGE EXTERNAL;
      CREATE TABLE job (
        queue bytea NOT NULL, id bytea NOT NULL, due_at bigint NOT NULL, held_until bigint NOT NULL DEFAULT 0,
        attempt bigint NOT NULL DEFAULT 0, token bytea, payload bytea NOT NULL, PRIMARY KEY (queue, id)
      ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
      ALTER TABLE job ALTER COLUMN payload SET STORAGE EXTERNAL;
      CREATE INDEX job_due ON job (queue, due_at, id);
      CREATE TABLE log (
        name bytea NOT NULL, sequence bigint NOT NULL, link bytea NOT NULL, value bytea NOT NULL, PRIMARY KEY (name, sequence)
      );
      ALTER TABLE log ALTER COLUMN value SET STORAGE EXTERNAL;
      CREATE TABLE log_head (name bytea PRIMARY KEY, sequence bigint NOT NULL, link bytea NOT NULL) WITH (fillfactor = 50);`,
    down: `DROP TABLE entry; DROP TABLE job; DROP TABLE log; DROP TABLE log_head;`,
  },
  {
    number: 2,
    says: 'Blobs in chunks, and drafts of them; going back loses the blobs that are here',
    up: `
      CREATE TABLE blob (name bytea PRIMARY KEY, draft bytea NOT NULL, size bigint NOT NULL, put_at bigint NOT NULL);
      CREATE TABLE blob_chunk (draft bytea NOT NULL, n bigint NOT NULL, bytes bytea NOT NULL, PRIMARY KEY (draft, n));
      ALTER TABLE blob_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;
      CREATE TABLE blob_draft (draft bytea PRIMARY KEY, touched_at bigint NOT NULL) WITH (fillfactor = 50);`,
    down: `DROP TABLE blob; DROP TABLE blob_chunk; DROP TABLE blob_draft;`,
  },
]

/** The format this build writes: the number of its last migration. */
export const schemaFormat = migrations.length

export type SchemaState =
  | { readonly kind: 'ready' }
  /** A newer build wrote it, or somebody else did. */
  | { readonly kind: 'foreign'; readonly text: string }

/**
 * Brings the schema up to this build's format. Nodes that start together take turns at the format's row: no advisory lock,
 * which not every server of this protocol has.
 */
export async function migrate(session: Session, schema: string): Promise<SchemaState> {
  const format = await readFormat(session, schema)
  if (format === schemaFormat) return { kind: 'ready' }
  if (format === undefined) await makeMeta(session, schema)
  await session.text('BEGIN')
  try {
    const [row] = await session.text(`SELECT value FROM "${schema}".meta WHERE name = 'format' FOR UPDATE`)
    const found = Number(row?.[0] ?? Number.NaN)
    if (!Number.isInteger(found) || found < 0 || found > schemaFormat) {
      await session.text('ROLLBACK')
      return {
        kind: 'foreign',
        text: `The schema ${schema} has format ${JSON.stringify(String(row?.[0]).slice(0, 20))}, this build reads formats 1 to ${schemaFormat}: start the newer build that wrote it`,
      }
    }
    await session.text(`SET LOCAL search_path = "${schema}"`)
    for (const { number, up } of migrations.slice(found)) {
      await session.text(up)
      await session.text(`INSERT INTO meta (name, value) VALUES ('migration/${number}', now()::text)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value`)
    }
    await session.text(`UPDATE meta SET value = '${schemaFormat}' WHERE name = 'format'`)
    await session.text('COMMIT')
    return { kind: 'ready' }
  } catch (error) {
    await session.text('ROLLBACK').catch(() => {})
    throw error
  }
}

/** The format that is there; undefined where there is none yet. */
async function readFormat(session: Session, schema: string): Promise<number | undefined> {
  const there = await session.text(
    `SELECT 1 FROM information_schema.tables WHERE table_schema = '${schema}' AND table_name = 'meta'`,
  )
  if (there.length === 0) return undefined
  const [row] = await session.text(`SELECT value FROM "${schema}".meta WHERE name = 'format'`)
  return row ? Number(row[0]) : undefined
}

/** Another node may do the same at the same moment: IF NOT EXISTS does not keep the two from colliding, trying again does. */
async function makeMeta(session: Session, schema: string): Promise<void> {
  for (let triesLeft = 5; ; triesLeft--) {
    try {
      const there = await session.text(`SELECT 1 FROM information_schema.schemata WHERE schema_name = '${schema}'`)
      // Only where it is missing: it takes a right on the database that the role need not have.
      if (there.length === 0) await session.text(`CREATE SCHEMA IF NOT EXISTS "${schema}"`)
      await session.text(`CREATE TABLE IF NOT EXISTS "${schema}".meta (name text PRIMARY KEY, value text NOT NULL)`)
      await session.text(
        `INSERT INTO "${schema}".meta (name, value) VALUES ('format', '0') ON CONFLICT (name) DO NOTHING`,
      )
      return
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (triesLeft === 0 || !collisions.includes(String(code))) throw error
    }
  }
}

/** Twins: in a unique index, of a schema, of a table, of a type; and what a serializable server says instead. */
const collisions = ['23505', '42P06', '42P07', '42710', '40001']
