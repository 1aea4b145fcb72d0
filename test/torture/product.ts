import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A bug planted in the compiled gateway: text that must stand in a file exactly once, and what stands there instead. */
export interface Plant {
  /** Below dist/. */
  readonly file: string
  readonly find: string
  readonly put: string
}

/**
 * A copy of the built gateway below `home`, so that nobody who compiles meanwhile changes what is tested; with planted
 * bugs where asked. Answers the folder that stands for dist/. Throws where a bug finds no place: it must not rot unseen.
 */
export function copyProduct(home: string, name: string, plants: readonly Plant[] = []): string {
  const folder = join(home, name)
  const dist = join(folder, 'dist')
  mkdirSync(folder, { recursive: true })
  cpSync(join(root, 'dist'), dist, { recursive: true, filter: (path) => !path.endsWith('.map') })
  for (const beside of ['package.json', 'node_modules', 'config', 'certs', 'docs'])
    if (existsSync(join(root, beside))) symlinkSync(join(root, beside), join(folder, beside))
  for (const { file, find, put } of plants) {
    const text = readFileSync(join(dist, file), 'utf8')
    if (text.split(find).length !== 2) throw new Error(`A planted bug has no place in ${file}: ${find}`)
    writeFileSync(
      join(dist, file),
      text.replace(find, () => put),
    )
  }
  return dist
}

/** The bugs that the harnesses must see, one for each promise. */
export const plants = {
  /** Acknowledges what is in the kernel only. */
  unsynced: [{ file: 'store/level/level.js', find: 'batch.write({ sync })', put: 'batch.write({ sync: false })' }],
  /** Says 250, and writes afterwards. */
  replyFirst: [
    {
      file: 'smtp/dialogue.js',
      find: 'accept: (data) => role.accept(envelope, data, visitor),',
      put: `accept: async (data) => {
                const chunks = [];
                for await (const chunk of data) chunks.push(chunk);
                const again = async function* () { yield* chunks; };
                setTimeout(() => role.accept(envelope, again(), visitor).catch(() => undefined), 100);
                return { kind: 'accepted', id: 'at-once' };
            },`,
    },
  ],
  /** Takes a failed write of the store for a good one. */
  swallowed: [
    {
      file: 'store/level/level.js',
      find: 'await batch.write({ sync })',
      put: 'await batch.write({ sync }).catch(() => undefined)',
    },
  ],
  /** Asks again after a failed sync, as if the kernel still had the bytes. */
  retriedSync: [
    {
      file: 'store/blobs.js',
      find: 'await file.datasync()',
      put: 'await file.datasync().catch(() => file.datasync())',
    },
  ],
  /** Names a blob without making its bytes last. */
  unsyncedBlob: [{ file: 'store/blobs.js', find: 'await file.datasync()', put: 'await undefined' }],
  /** Never looks how much room there is. */
  noRoomCheck: [
    { file: 'smtp/dialogue.js', find: "(await options.room()) ? undefined : replyOf('no-room')", put: 'undefined' },
  ],
  /** Acknowledges without hearing whether the transaction was committed. */
  beforeCommit: [
    {
      file: 'store/postgres/writer.js',
      find: 'await session.run([...group.calls(now()), ...appends.calls])',
      put: 'await session.run([...group.calls(now()), ...appends.calls]).catch(() => undefined)',
    },
  ],
  /** Lets a client take as long as it likes between two messages. */
  patient: [
    {
      file: 'smtp/session.js',
      find: "commandPhase = setTimeout(() => session.hangUp(replyOf('too-slow')), limits.commandPhaseMs)",
      put: 'commandPhase = setTimeout(() => undefined, limits.commandPhaseMs)',
    },
  ],
  /** Cuts messages in transfer when it is told to stop. */
  cutting: [
    {
      file: 'smtp/server.js',
      find: 'while (transferring(sessions) && performance.now() < deadline)',
      put: 'while (false)',
    },
  ],
} as const satisfies Record<string, readonly Plant[]>
