/**
 * The packages: package.json names exact versions, package-lock.json holds every one of them with its hash for every
 * platform (else `npm ci` refuses a fresh clone), and docs/adr/dependencies.md says of each why it is here.
 */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const read = (file) => readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), 'utf8')

/** Faults of a package.json and its lockfile, both parsed. */
function lockFaults({ dependencies, devDependencies, optionalDependencies }, { packages }) {
  const faults = []
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
    if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) faults.push(`package.json: ${name} is not pinned: ${version}`)
    if (packages[`node_modules/${name}`]?.version !== version)
      faults.push(`package-lock.json: ${name} is not ${version}`)
  }
  for (const [path, entry] of Object.entries(packages)) {
    if (path === '') continue
    if (!entry.version || !entry.integrity) faults.push(`package-lock.json: ${path} has no version or no hash`)
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      if (!packages[`node_modules/${name}`] && !packages[`${path}/node_modules/${name}`])
        faults.push(`package-lock.json: ${name}, optional of ${path}, is missing, so npm ci refuses it`)
    }
  }
  return faults
}

/** Faults of the table of reasons: a package without a row, a row without a package, a row that says nothing. */
function reasonFaults({ dependencies, devDependencies, optionalDependencies }, text) {
  const rows = [...text.matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)].map(([, name, rest]) => ({ name, rest }))
  const named = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
  return [
    ...named
      .filter((name) => rows.filter((row) => row.name === name).length !== 1)
      .map((name) => `no row, or several, for ${name}`),
    ...rows
      .filter(({ name }) => !named.includes(name))
      .map(({ name }) => `a row for ${name}, which package.json does not name`),
    ...rows
      .filter(({ rest }) => rest.split('|').some((cell) => cell.trim().length < 8))
      .map(({ name }) => `an empty reason for ${name}`),
  ].map((fault) => `docs/adr/dependencies.md: ${fault}`)
}

const faults = []
const planted = { dependencies: { a: '^1.0.0', b: '1.0.0' }, devDependencies: {} }
const plantedLock = {
  packages: { '': {}, 'node_modules/a': { version: '1.0.0', integrity: 'x', optionalDependencies: { c: '1' } } },
}
if (lockFaults(planted, plantedLock).length !== 4) faults.push('the check of the lockfile is blind')
if (reasonFaults(planted, '| `a` | | why not |\n| `z` | long enough | long enough |\n').length !== 3)
  faults.push('the check of the reasons is blind')

const manifest = JSON.parse(read('package.json'))
faults.push(...lockFaults(manifest, JSON.parse(read('package-lock.json'))))
faults.push(...reasonFaults(manifest, read('docs/adr/dependencies.md')))

for (const fault of faults) console.error(`dependencies: ${fault}`)
console.log(
  `dependencies: ${Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).length} packages, ${faults.length} faults`,
)
process.exitCode = faults.length > 0 ? 1 : 0
