/**
 * Files made from the code: compares each with what the code says now and fails on a difference; `--write`
 * (`npm run generate`) writes them. Reads the compiled dist/, which `ready.mjs --build` has just made current.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const write = process.argv.includes('--write')
const house = createRequire(import.meta.url)('./rooms.cjs')

/** A module of dist/, which must be there when its source is. */
const compiled = (module) => import(pathToFileURL(join(root, 'dist', module)).href)
const has = (source) => existsSync(join(root, 'src', source))

/** The tables of docs/architecture.md between their markers; the prose around them is people's. */
function architecture() {
  const { rooms, wiring, pure, fences } = house
  const code = (names) => names.map((name) => `\`${name}\``).join(', ')
  const tables = {
    rooms: [
      '| room | holds | may import |',
      '|---|---|---|',
      ...Object.entries(rooms).map(
        ([room, { may, holds }]) => `| \`${room}\` | ${holds} | ${code(may) || 'nothing'} |`,
      ),
      ...Object.entries(wiring).map(([room, holds]) => `| \`${room}\` | ${holds} | everything |`),
    ],
    fences: [
      '| package | only in |',
      '|---|---|',
      ...fences.map(({ packages, places }) => `| ${code(packages)} | ${code(places)} |`),
    ],
    pure: [`${code(pure)}.`],
  }
  const file = readFileSync(join(root, 'docs/architecture.md'), 'utf8')
  return Object.entries(tables).reduce((text, [name, lines]) => {
    const [before, rest] = halves(text, `<!-- begin ${name} -->\n`)
    const [, after] = halves(rest, `<!-- end ${name} -->`)
    return `${before}<!-- begin ${name} -->\n${lines.join('\n')}\n<!-- end ${name} -->${after}`
  }, file)
}

function halves(text, mark) {
  const at = text.indexOf(mark)
  if (at < 0) throw new Error(`docs/architecture.md has lost its mark ${mark}`)
  return [text.slice(0, at), text.slice(at + mark.length)]
}

/** Every generated file with the function that gives its text. */
async function generated() {
  const { configurationManual, exampleFile, schemaFile } = await compiled('config/document.js')
  const files = {
    'config/gateway.example.yaml': exampleFile(),
    'config/gateway.schema.json': schemaFile(),
    'docs/configuration.md': configurationManual(),
    'docs/architecture.md': architecture(),
  }
  if (has('cli/manual.ts')) files['docs/cli.md'] = (await compiled('cli/manual.js')).commandManual()
  // The API's own room gives its document: `openapiDocument()` in src/api/openapi.ts, a value or a promise of one.
  if (has('api/openapi.ts')) {
    const document = await (await compiled('api/openapi.js')).openapiDocument()
    files['docs/api/openapi.json'] = `${JSON.stringify(document, null, 2)}\n`
  }
  return files
}

let faults = 0
const files = await generated()
for (const [name, text] of Object.entries(files)) {
  const file = join(root, name)
  const now = existsSync(file) ? readFileSync(file, 'utf8') : undefined
  if (now === text) continue
  if (write) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    console.log(`drift: wrote ${name}`)
  } else {
    faults += 1
    console.error(`drift: ${name} is not what the code says; run \`npm run generate\` and look at the difference`)
  }
}
console.log(`drift: ${Object.keys(files).length} generated files, ${faults} faults`)
process.exitCode = faults > 0 ? 1 : 0
