import type { PostgresTimeouts } from './options.js'
import type { Session } from './session.js'

export type ServerTrouble = { readonly kind: 'away' | 'refused'; readonly text: string }

/**
 * Whether a server may be trusted with mail: what it acknowledges survives a power cut, and with `requireStandby` the loss of
 * the machine. Each text names the setting and what to do.
 */
export async function checkServer(session: Session, requireStandby: boolean): Promise<ServerTrouble | undefined> {
  const [row = []] = await session.text(`SELECT current_setting('server_version_num'), pg_is_in_recovery()::text,
    current_setting('transaction_read_only'), current_setting('synchronous_commit'),
    coalesce(current_setting('synchronous_standby_names', true), ''), coalesce(current_setting('fsync', true), 'on'),
    coalesce(current_setting('full_page_writes', true), 'on'), current_setting('server_encoding')`)
  const [version, recovery, readOnly, synchronous, standbys, fsync, fullPages, encoding] = row
  const refused = (text: string): ServerTrouble => ({ kind: 'refused', text })
  if (recovery === 'true')
    return { kind: 'away', text: 'it is a standby (in recovery) and takes no writes: promote it, or name the primary' }
  if (Number(version) < 130_000) return refused(`server version ${version} is older than 13: upgrade it`)
  if (readOnly === 'on')
    return refused(
      'it is read-only: default_transaction_read_only is on for this server, database or role; turn it off',
    )
  if (synchronous === 'off')
    return refused('synchronous_commit is off, so that a crash loses acknowledged mail: set it to on')
  if (fsync !== 'on') return refused('fsync is off, so that a power cut loses the database: set it to on')
  if (fullPages !== 'on') return refused('full_page_writes is off, so that a power cut may tear pages: set it to on')
  if (requireStandby && standbys === '')
    return refused(
      'synchronous_standby_names is empty, and a synchronous standby is required: name one, or do not require it',
    )
  if (requireStandby && synchronous !== 'on' && synchronous !== 'remote_apply')
    return refused(
      `synchronous_commit is ${synchronous}, which does not wait until the standby has it on disk: set it to on`,
    )
  if (encoding !== 'UTF8') return refused(`the database's encoding is ${encoding}: create it with ENCODING 'UTF8'`)
  return undefined
}

/**
 * Makes a session ours. `synchronous_commit` is set to what was found at the check, so that reloading the server's
 * configuration cannot turn it off under us. Plans are made once and by index: the tables are small when statements are
 * prepared, and a plan made for small tables reads large ones from end to end.
 */
export async function setUp(session: Session, schema: string, timeouts: PostgresTimeouts): Promise<void> {
  await session.text(`SET search_path = "${schema}"`)
  await session.text(`SET statement_timeout = ${timeouts.statementMs}`)
  await session.text(`SET lock_timeout = ${timeouts.lockMs}`)
  await session.text(`SET idle_in_transaction_session_timeout = ${timeouts.idleInTransactionMs}`)
  await session.text(`SET default_transaction_isolation = 'read committed'`)
  await session.text(`SET bytea_output = 'hex'`)
  const [[version, synchronous] = []] = await session.text(`SELECT version(), current_setting('synchronous_commit')`)
  await session.text(`SET synchronous_commit = '${String(synchronous).replaceAll("'", '')}'`)
  if (!version?.startsWith('PostgreSQL')) return
  await session.text(`SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
    SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off`)
}
