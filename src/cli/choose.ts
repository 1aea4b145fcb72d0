import { CommandFailed, exitCodes } from './operator.js'

/** The one thing whose id begins with `prefix` (at least 8 characters), of one owner where several have it. */
export function chosen<T extends { readonly id: string; readonly owner: string }>(
  all: readonly T[],
  prefix: string,
  owner: string | undefined,
): T {
  if (prefix.length < 8) throw new CommandFailed('give at least 8 characters of the id', exitCodes.usage)
  const found = all.filter((one) => one.id.startsWith(prefix.toLowerCase()))
  const owned = owner === undefined ? found : found.filter((one) => one.owner === owner.toLowerCase())
  const [only, another] = owned
  if (!only) throw new CommandFailed(`nothing here has the id ${prefix}${owner === undefined ? '' : ` for ${owner}`}`)
  if (another)
    throw new CommandFailed(
      `several have the id ${prefix}; add --for: ${owned.map((one) => `${one.owner} (${one.id})`).join(', ')}`,
      exitCodes.usage,
    )
  return only
}
