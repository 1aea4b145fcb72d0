import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import process from 'node:process'
import ts from 'typescript'

/**
 * Turns the store and the writer that tests kill into JavaScript below `root`, whether or not the rest of the project
 * compiles. `change` may plant a bug in the text of a file. Answers the path of the writer.
 */
export async function buildWriter(
  root: string,
  change: (path: string, text: string) => string = (_, text) => text,
): Promise<string> {
  const sources = [...(await sourcesIn('src/store')), ...(await sourcesIn('src/ports')), 'test/interop/store-writer.ts']
  for (const source of sources) {
    const { outputText } = ts.transpileModule(change(source, await readFile(source, 'utf8')), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    })
    const target = join(root, source.replace(/\.ts$/, '.js'))
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, outputText)
  }
  await cp('package.json', join(root, 'package.json'))
  await symlink(join(process.cwd(), 'node_modules'), join(root, 'node_modules'))
  return join(root, 'test/interop/store-writer.js')
}

async function sourcesIn(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true })
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(directory, name))
}
