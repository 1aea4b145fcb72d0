import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { describeProblem, type Loaded, loadConfig } from '../config/load.js'
import { CommandFailed, exitCodes, type GlobalOptions, type Home, type Settled } from './operator.js'

/** The configuration that a command line asks for: its file, and `--data-dir` over file and environment. */
export async function settle(
  home: Pick<Home, 'cwd' | 'env'>,
  { config, dataDir }: GlobalOptions,
): Promise<Loaded & { readonly file?: string }> {
  const file = config ?? home.env['DIRECT_GATEWAY_CONFIG']
  const env = dataDir === undefined ? home.env : { ...home.env, DIRECT_GATEWAY_DATA_DIR: resolve(home.cwd, dataDir) }
  const loaded = await loadConfig({
    env,
    cwd: home.cwd,
    readFile: (path) => readFile(resolve(home.cwd, path), 'utf8'),
    ...(file && { file }),
  })
  return { ...loaded, ...(file && { file }) }
}

/** The same, with its problems as the end of the command. */
export async function settledOf(home: Pick<Home, 'cwd' | 'env'>, options: GlobalOptions): Promise<Settled> {
  const outcome = await settle(home, options)
  if (outcome.kind === 'loaded') return outcome
  const words = outcome.problems.map((problem) => describeProblem(problem, outcome.file)).join('\n')
  throw new CommandFailed(words, exitCodes.usage)
}
