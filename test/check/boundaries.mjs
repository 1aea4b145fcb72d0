/**
 * The import rules, and the proof that they bite: cruises src/, counts what was read, then plants one violation of
 * every kind in a copy of the tree and asks that each be caught by the rule meant for it.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { rooms, wiring, entries, pure, waiting, fences } = createRequire(import.meta.url)('./rooms.cjs')
const faults = []

/** Cruises `src` below a folder; answers every edge that broke a rule, and every file that was read. */
function cruise(folder) {
  const program = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs')
  const args = [program, 'src', '--config', '.dependency-cruiser.cjs', '--output-type', 'json']
  const output = (() => {
    try {
      return execFileSync(process.execPath, args, { cwd: folder, maxBuffer: 1 << 28, encoding: 'utf8' })
    } catch (error) {
      // The exit code is the number of violations; the report is on stdout all the same.
      if (error.stdout) return error.stdout
      throw error
    }
  })()
  const { modules, summary } = JSON.parse(output)
  return {
    read: modules.map((module) => module.source).filter((source) => /^src\/.*\.ts$/.test(source)),
    violations: summary.violations.map(({ from, to, rule }) => ({ from, to, rule: rule.name })),
    edges: modules.reduce((sum, module) => sum + module.dependencies.length, 0),
  }
}

/** Every source file below `folder`, relative to it. */
function sources(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.[cm]?[jt]sx?$/.test(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
}

/** One violation of each kind: the file to plant, what it says, and the rule that must catch it. */
function plants() {
  const planted = []
  const plant = (file, text, rule) => planted.push({ file: `src/${file}`, text, rule })
  for (const [room, { may }] of Object.entries(rooms)) {
    const target = Object.keys(rooms).find((other) => other !== room && !may.includes(other))
    plant(`${room}/planted-run.ts`, `export { planted } from '../${target}/planted.js'\n`, `room ${room}`)
    plant(
      `${room}/planted-type.ts`,
      `import type { Planted } from '../${target}/planted.js'\nexport type A = Planted\n`,
      `room ${room}`,
    )
    plant(`${room}/planted-late.ts`, `export const late = () => import('../${target}/planted.js')\n`, `room ${room}`)
  }
  for (const { packages, places } of fences) {
    const stranger = places.includes('direct') ? 'ports' : 'direct'
    for (const name of packages.filter((name) => name !== 'classic-level' && name !== 'abstract-level')) {
      const file = `${stranger}/planted-${name.replace(/\W/g, '-')}`
      const rule = `only ${places.join(', ')}: ${packages.join(', ')}`
      plant(`${file}.ts`, `import * as planted from '${name}'\nexport { planted }\n`, rule)
      plant(`${file}-type.ts`, `import type * as planted from '${name}'\nexport type A = typeof planted\n`, rule)
    }
  }
  for (const room of pure) {
    plant(`${room}/planted-fs.ts`, "import * as fs from 'node:fs'\nexport { fs }\n", 'the core does no input or output')
    plant(`${room}/planted-net.ts`, "import net from 'net'\nexport { net }\n", 'the core does no input or output')
  }
  plant(
    'planted-room/a.ts',
    "import type { Planted } from '../direct/planted.js'\nexport type A = Planted\n",
    'every room has its rule',
  )
  plant('cli/planted-unfenced.ts', "import ts from 'typescript'\nexport { ts }\n", 'every package has its fence')
  plant(
    'main-planted.ts',
    "import { Level } from 'level'\nexport { Level }\n",
    'only store/level: level, classic-level, abstract-level',
  )
  plant('cli/planted-cycle-a.ts', "import { b } from './planted-cycle-b.js'\nexport const a = () => b\n", 'no cycles')
  plant('cli/planted-lost.ts', "import { a } from './nowhere.js'\nexport { a }\n", 'everything resolves')
  return planted
}

/** Plants all of it in a copy and names each plant that its rule did not catch. */
function proveRulesBite() {
  mkdirSync(join(root, 'scratch'), { recursive: true })
  const copy = mkdtempSync(join(root, 'scratch', 'boundaries-'))
  try {
    for (const name of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json', 'test/check/rooms.cjs', 'src']) {
      cpSync(join(root, name), join(copy, name), { recursive: true })
    }
    const put = (file, text) => {
      mkdirSync(dirname(join(copy, file)), { recursive: true })
      writeFileSync(join(copy, file), text)
    }
    for (const room of Object.keys(rooms)) {
      put(`src/${room}/planted.ts`, 'export const planted = 1\nexport interface Planted { a: 1 }\n')
    }
    const planted = plants()
    put('src/cli/planted-cycle-b.ts', "import { a } from './planted-cycle-a.js'\nexport const b = () => a\n")
    for (const { file, text } of planted) put(file, text)
    const { violations } = cruise(copy)
    const caught = new Set(violations.map(({ from, rule }) => `${from} ${rule}`))
    const missed = planted.filter(({ file, rule }) => !caught.has(`${file} ${rule}`))
    for (const { file, rule } of missed) faults.push(`planted violation not caught: ${file} by "${rule}"`)
    return planted.length - missed.length
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

const timers = ['setTimeout', 'setInterval', 'setImmediate']
const worldly = new Set(['fetch', 'process', 'performance', 'WebSocket', ...timers])

/** Where a source asks the platform for time, chance or the world without an import: `Date.now()`, `Math.random()` … */
export function worldlyWords(text, file) {
  const tree = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true)
  const found = []
  const visit = (node) => {
    const said =
      (ts.isPropertyAccessExpression(node) &&
        /^(Date\.now|Math\.random)$/.test(node.getText(tree)) &&
        node.getText(tree)) ||
      (ts.isNewExpression(node) &&
        node.expression.getText(tree) === 'Date' &&
        !node.arguments?.length &&
        'new Date()') ||
      (ts.isIdentifier(node) && worldly.has(node.text) && isUse(node) && node.text)
    if (said) found.push(`${file}:${tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1} ${said}`)
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found
}

/** An identifier that stands for the global, not for a property, a declaration or a key of the same name. */
function isUse(node) {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return false
  if (ts.isQualifiedName(parent) || ts.isTypeNode(parent) || ts.isImportSpecifier(parent)) return false
  return !('name' in parent && parent.name === node)
}

function checkPurity() {
  const planted =
    'const a = Date.now()\nconst b = new Date()\nconst c = Math.random()\nawait fetch(d)\nconst e = process.env\n'
  if (worldlyWords(planted, 'planted.ts').length !== 5) faults.push('the search for hidden time and chance is blind')
  if (worldlyWords('const a = new Date(0)\nb.process()\nconst f = { process: 1 }\n', 'planted.ts').length !== 0)
    faults.push('the search for hidden time and chance sees ghosts')
  for (const file of sources(join(root, 'src')).filter((file) => pure.includes(file.split('/')[0]))) {
    const words = worldlyWords(readFileSync(join(root, 'src', file), 'utf8'), `src/${file}`)
    const allowed = (word) => waiting.includes(file) && timers.some((timer) => word.endsWith(` ${timer}`))
    for (const word of words.filter((word) => !allowed(word))) faults.push(`the core asks the world by itself: ${word}`)
  }
}

const present = sources(join(root, 'src')).map((file) => `src/${file}`)
const { read, violations, edges } = cruise(root)
for (const { from, to, rule } of violations) faults.push(`${from} imports ${to} (rule "${rule}")`)
for (const file of present.filter((file) => !read.includes(file))) faults.push(`not read: ${file}`)
if (read.length !== present.length) faults.push(`read ${read.length} modules of ${present.length} files`)
for (const folder of new Set(present.map((file) => file.split('/')[1]).filter((name) => !name.endsWith('.ts')))) {
  if (!rooms[folder] && !wiring[folder]) faults.push(`room without a row in test/check/rooms.cjs: ${folder}`)
}
for (const room of Object.keys(rooms)) {
  if (!present.some((file) => file.startsWith(`src/${room}/`)))
    faults.push(`row in test/check/rooms.cjs without a room: ${room}`)
}
for (const file of present.filter((file) => file.split('/').length === 2)) {
  if (!entries.includes(file.slice('src/'.length))) faults.push(`a file outside every room: ${file}`)
}
checkPurity()
const planted = proveRulesBite()

for (const fault of faults) console.error(`boundaries: ${fault}`)
console.log(
  `boundaries: ${read.length} modules, ${edges} imports, ${planted} planted violations caught, ${faults.length} faults`,
)
process.exitCode = faults.length > 0 ? 1 : 0
