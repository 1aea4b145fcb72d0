import { describe, expect, it } from 'vitest'
import { runCommand } from '../../src/cli/program.js'
import { keyboard } from './world.js'

const rules = { online: [{ name: 'see', reason: { en: 'To show it' }, permissions: ['read'] }], offline: [] }

async function setUp() {
  const { operator } = await keyboard()
  const files: Record<string, string> = { 'rules.json': JSON.stringify(rules), 'bad.json': '{' }
  return async (...argv: string[]) => {
    let [out, err] = ['', '']
    const code = await runCommand(argv, {
      print(text) {
        out += text
      },
      printError(text) {
        err += text
      },
      readFile: async (path) => Buffer.from(files[path] ?? ''),
      writeFile: async () => undefined,
      withOperator: (_, work) => work(operator),
    })
    return { code, out, err }
  }
}

describe('applications at the command line', () => {
  it('are added, listed, shown, updated, disabled and enabled', async () => {
    const run = await setUp()
    const add = ['app', 'add', 'web', 'Well', '--redirect', 'https://well.example/cb', '--rules', 'rules.json']
    const made = JSON.parse((await run(...add, '--webhook', 'https://well.example/hook', '--json')).out)
    expect(made).toMatchObject({ name: 'Well', online: ['see'], webhookSecret: expect.stringMatching(/^whsec_/) })
    expect((await run('app', 'list')).out).toContain(made.id)
    const shown = await run('app', 'show', made.id)
    expect(shown.out).toContain('https://well.example/cb')
    expect(shown.out).not.toContain('whsec_')
    expect(JSON.parse((await run('app', 'show', made.id, '--json')).out).rules).toEqual(rules)
    expect(JSON.parse((await run('app', 'rotate-secret', made.id, '--json')).out).webhookSecret).not.toBe(
      made.webhookSecret,
    )
    expect((await run('app', 'update', made.id, '--name', 'Weller', '--webhook', '')).code).toBe(0)
    expect(await run('app', 'rotate-secret', made.id)).toMatchObject({
      code: 1,
      err: expect.stringContaining('no webhook'),
    })
    expect((await run('app', 'disable', made.id)).out).toContain('Disabled')
    expect((await run('app', 'list')).out).toContain('disabled')
    expect((await run('app', 'enable', made.id)).code).toBe(0)
  })

  it.each([
    [['app', 'add', 'web', 'x', '--redirect', 'http://evil.example'], 1, 'redirectUris.0'],
    [['app', 'add', 'thing', 'x'], 2, 'no kind'],
    [['app', 'add', 'clinic', 'x', '--may', 'everything'], 2, 'no power'],
    [['app', 'add', 'web', 'x', '--rules', 'bad.json'], 1, 'not JSON'],
    [['app', 'show', 'nothing'], 1, 'no application'],
    [['app', 'update', 'nothing'], 2, 'what changes'],
    [['app', 'disable', 'nothing'], 1, 'no such application'],
  ])('refuses %j', async (argv, code, words) => {
    expect(await (await setUp())(...argv)).toMatchObject({ code, err: expect.stringContaining(words) })
  })
})
