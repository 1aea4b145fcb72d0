import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Control, controlSocket, listenForCommands, sendCommand } from '../../src/cli/control.js'
import { cliLimits } from '../../src/cli/operator.js'
import { runCommand } from '../../src/cli/program.js'
import { openOperator } from '../../src/operator.js'
import { makeAuthority } from '../fixtures/pki.js'
import { process } from './world.js'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function machine(env?: Record<string, string>) {
  const at = await process(env)
  ends.push(at.remove)
  return at
}

type Machine = Awaited<ReturnType<typeof machine>>

/** A running gateway on the machine's data folder: real socket, real directory. */
async function running(at: Machine, dataDir = join(at.cwd, 'data')): Promise<{ control: Control; events: string[] }> {
  mkdirSync(dataDir, { recursive: true })
  const events: string[] = []
  const note = (event: string, fields: unknown) => void events.push(`${event} ${JSON.stringify(fields)}`)
  const control = await listenForCommands({
    dataDir,
    operator: openOperator(at.gateway).operator,
    run: runCommand,
    log: { info: note, warn: note, error: note },
  })
  ends.push(() => control.close())
  return { control, events }
}

describe('init', () => {
  it('makes folder, key and domain, and says what comes next', async () => {
    const at = await machine()
    const { code, out, err } = await at.run(
      'init',
      '--domain',
      'clinic.example',
      '--address',
      'a@clinic.example',
      '--data-dir',
      'state',
      '--write-config',
      'gateway.yaml',
    )
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('Made the master key') })
    const key = join(at.cwd, 'state/master.key')
    expect(statSync(key).mode & 0o777).toBe(0o600)
    expect(statSync(join(at.cwd, 'state')).mode & 0o777).toBe(0o700)
    expect(Buffer.from(readFileSync(key, 'utf8'), 'base64')).toHaveLength(32)
    expect(out).toContain(
      'direct-gateway token create --address a@clinic.example --scope messages:read --config gateway.yaml',
    )
    expect(readFileSync(join(at.cwd, 'gateway.yaml'), 'utf8')).not.toContain(readFileSync(key, 'utf8').trim())
    expect((await at.run('config', 'print', '-c', 'gateway.yaml')).out).toContain(`dataDir: ${join(at.cwd, 'state')}`)
    expect((await at.run('domain', 'list', '-c', 'gateway.yaml')).out).toContain('clinic.example')
  })

  it('keeps the key that is there, and never makes a new one beside old data', async () => {
    const at = await machine()
    expect((await at.run('init', '--domain', 'one.example')).code).toBe(0)
    const key = readFileSync(join(at.cwd, 'data/master.key'), 'utf8')
    expect((await at.run('init', '--domain', 'two.example')).code).toBe(0)
    expect(readFileSync(join(at.cwd, 'data/master.key'), 'utf8')).toBe(key)
    mkdirSync(join(at.cwd, 'old'))
    writeFileSync(join(at.cwd, 'old/store'), 'data')
    const { code, err } = await at.run('init', '--domain', 'three.example', '--data-dir', 'old')
    expect(code).toBe(1)
    expect(err).toContain('its master key')
    expect(readdirSync(join(at.cwd, 'old'))).toEqual(['store'])
  })

  it('makes no file for a master key of the environment', async () => {
    const at = await machine({ DIRECT_GATEWAY_MASTER_KEY: Buffer.alloc(32, 'k').toString('base64') })
    expect((await at.run('init', '--domain', 'one.example')).code).toBe(0)
    expect(existsSync(join(at.cwd, 'data/master.key'))).toBe(false)
  })
})

describe('serve and config', () => {
  it('hands the configuration to the gateway, wherever the option stands', async () => {
    const at = await machine()
    writeFileSync(join(at.cwd, 'g.yaml'), 'dataDir: there\n')
    expect((await at.run('serve', '--config', 'g.yaml')).code).toBe(0)
    expect((await at.run('--config', 'g.yaml', 'serve')).code).toBe(0)
    expect(at.served).toEqual([join(at.cwd, 'there'), join(at.cwd, 'there')])
  })

  it('checks a configuration, and runs nothing on a wrong one', async () => {
    const at = await machine()
    writeFileSync(join(at.cwd, 'bad.yaml'), 'smtp:\n  prot: 1\n')
    const words = 'error: bad.yaml:2 smtp.prot: no such setting; did you mean smtp.port?\n'
    for (const command of [['config', 'check'], ['serve'], ['domain', 'list']])
      expect(await at.run(...command, '-c', 'bad.yaml')).toEqual({ code: 2, out: '', err: words })
    expect((await at.run('config', 'check')).out).toBe('The configuration is in order.\n')
    expect((await at.run('config', 'example')).out).toContain('# smtp:')
    expect(JSON.parse((await at.run('config', 'schema')).out).type).toBe('object')
    expect((await at.run('--version')).out).toBe('0.0.0\n')
  })
})

describe('commands while the gateway runs', () => {
  it('run there, with files of the operator, and end with their code', async () => {
    const at = await machine()
    const { events } = await running(at)
    writeFileSync(join(at.cwd, 'anchor.pem'), makeAuthority({ name: 'Over there' }).certificatePem)
    expect((await at.run('domain', 'add', 'clinic.example')).out).toBe('Serving clinic.example.\n')
    expect((await at.run('anchor', 'add', 'anchor.pem', '--for', 'clinic.example')).out).toContain('Over there')
    expect(await at.run('anchor', 'add', 'none.pem', '--for', 'clinic.example')).toMatchObject({
      code: 1,
      err: 'error: cannot read none.pem: ENOENT\n',
    })
    const request = [
      'key',
      'request',
      '--owner',
      'clinic.example',
      '--kind',
      'p256',
      '--from',
      'hand',
      '--out',
      'a.csr',
    ]
    expect((await at.run(...request)).code).toBe(0)
    expect((await at.run(...request)).err).toContain('cannot write a.csr: EEXIST')
    expect((await at.run('domain', 'add', 'clinic.example')).code).toBe(1)
    expect((await at.run('init', '--domain', 'second.example')).code).toBe(1) // the folder holds data that it has no key for
    expect(at.opened).toEqual([])
    expect(events.join('\n')).toContain('"command":"anchor add"')
    expect(events.join('\n')).not.toContain('clinic.example')
  })

  it('open the store here once it stopped, also when it died and left its socket', async () => {
    const at = await machine()
    const { control } = await running(at)
    await at.run('domain', 'add', 'clinic.example')
    await control.close()
    expect((await at.run('domain', 'list')).out).toContain('clinic.example')
    writeFileSync(join(at.cwd, 'data', controlSocket), '') // a file that nobody listens on
    expect((await at.run('domain', 'list')).out).toContain('clinic.example')
    expect(at.opened).toHaveLength(2)
    await running(at)
    await at.run('domain', 'list')
    expect(at.opened).toHaveLength(2)
  })

  it('guards the socket: mode 0600, also below a very deep folder', async () => {
    const at = await machine()
    const deep = join(at.cwd, 'd'.repeat(90), 'e'.repeat(60))
    await running(at, deep)
    expect(statSync(join(deep, controlSocket)).mode & 0o777).toBe(0o600)
    expect((await at.run('domain', 'add', 'clinic.example', '--data-dir', deep)).code).toBe(0)
    expect(at.opened).toEqual([])
  })

  it('asks only for files that the command line names', async () => {
    const at = await machine()
    const dataDir = join(at.cwd, 'data')
    mkdirSync(dataDir)
    const asked: string[] = []
    const control = await listenForCommands({
      dataDir,
      operator: openOperator(at.gateway).operator,
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      async run(_, context) {
        for (const path of ['/etc/shadow', 'named.pem'])
          await context.readFile(path).then(
            () => asked.push(`got ${path}`),
            (error) => asked.push(String(error.message)),
          )
        return 7
      },
    })
    ends.push(() => control.close())
    const sent = await sendCommand(dataDir, ['x', 'named.pem'], {
      print: () => undefined,
      printError: () => undefined,
      readFile: async () => new Uint8Array(cliLimits.fileBytes),
      writeFile: async () => undefined,
    })
    expect(sent).toEqual({ kind: 'done', exit: 7 })
    expect(asked).toEqual(['the command line does not name /etc/shadow', 'got named.pem'])
  })

  it('survives clients that speak nonsense, too much, or too many at once', async () => {
    const at = await machine()
    await running(at)
    const path = join(at.cwd, 'data', controlSocket)
    const say = (text: string) =>
      new Promise<string>((resolve) => {
        let heard = ''
        const socket = connect(path, () => socket.write(text))
        socket.on('data', (chunk) => {
          heard += chunk
        })
        socket.on('error', () => undefined).on('close', () => resolve(heard))
      })
    expect(await say('nonsense\n')).toBe('')
    expect(await say('{"argv":5}\n')).toBe('')
    expect(await say('null\n')).toBe('')
    expect(await say('x'.repeat(cliLimits.lineBytes + 1))).toBe('')
    expect(await say('{"argv":["no-such"]}\n')).toContain('"exit":2')
    const idle = Array.from({ length: cliLimits.sessions }, () => connect(path))
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect((await at.run('domain', 'list')).err).toContain('the gateway')
    for (const socket of idle) socket.destroy()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect((await at.run('domain', 'list')).code).toBe(0)
  })

  it('tells when the gateway dies under a command', async () => {
    const at = await machine()
    const dataDir = join(at.cwd, 'data')
    mkdirSync(dataDir)
    const control = await listenForCommands({
      dataDir,
      operator: openOperator(at.gateway).operator,
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      run: () => new Promise(() => undefined),
    })
    const ran = at.run('domain', 'list')
    await new Promise((resolve) => setTimeout(resolve, 50))
    await control.close()
    expect(await ran).toMatchObject({ code: 1, err: expect.stringContaining('went away') })
  })
})
