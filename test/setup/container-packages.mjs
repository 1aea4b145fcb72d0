// Compares a folder of installed packages with the production packages of package-lock.json: prints what is there and
// should not be, and what is missing. Silence is agreement.
//
//   node test/setup/container-packages.mjs package-lock.json IMAGE/app/node_modules
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'

const [lockfile, folder] = process.argv.slice(2)
const lock = JSON.parse(readFileSync(lockfile, 'utf8'))
const wanted = Object.entries(lock.packages).filter(([path, row]) => path !== '' && !row.dev && !row.devOptional)

/** Packages below a node_modules folder, by their path in the lockfile. */
function installed(at, path) {
  if (!existsSync(at)) return []
  const names = readdirSync(at).flatMap((name) =>
    name.startsWith('@')
      ? readdirSync(join(at, name)).map((inner) => `${name}/${inner}`)
      : name.startsWith('.')
        ? []
        : [name],
  )
  return names.flatMap((name) => [
    `${path}/${name}`,
    ...installed(join(at, name, 'node_modules'), `${path}/${name}/node_modules`),
  ])
}

const found = installed(folder, 'node_modules')
const names = new Set(wanted.map(([path]) => path))
const stray = found.filter((path) => !names.has(path)).map((path) => `${path} should not be there`)
const missing = wanted
  .filter(([path, row]) => !row.optional && !row.peer && !found.includes(path))
  .map(([path]) => `${path} is missing`)
if (stray.length + missing.length > 0) console.log([...stray, ...missing].slice(0, 3).join(', '))
