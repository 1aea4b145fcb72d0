import { afterEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/cli/operator.js'
import { runCommand } from '../../src/cli/program.js'
import { settings } from '../../src/config/settings.js'
import { openWebhookDesk } from '../../src/delivery/webhook-desk.js'
import { changed, readState } from '../../src/delivery/webhook-state.js'
import { openOperator } from '../../src/operator.js'
import { endpointOf, happen, openReceiver } from '../delivery/receiver.js'
import { random } from '../directory/worlds.js'
import { house, keyboard } from './world.js'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function desk() {
  const { gateway, operator } = await keyboard()
  const receiver = await openReceiver((response, _, { id }) =>
    response.writeHead(id.startsWith('test-') ? 202 : 204).end(),
  )
  closing.push(receiver.close)
  const endpoints = [
    endpointOf(receiver.url, { name: 'ehr-north', steps: ['sent'] }),
    endpointOf('http://127.0.0.1:1/', { name: 'dead' }),
  ]
  const webhooks = openWebhookDesk({ ...gateway, random, endpoints })
  async function run(line: string) {
    let [out, err] = ['', '']
    const code = await runCommand(line.split(' '), {
      print(text) {
        out += text
      },
      printError(text) {
        err += text
      },
      readFile: async () => new Uint8Array(),
      writeFile: async () => undefined,
      withOperator: (_, work) => work({ ...operator, webhooks }),
    })
    return { code, out, err }
  }
  return { run, store: gateway.store }
}

describe('a webhook whose secret cannot be read', () => {
  it('is told to who asks for webhooks, and keeps nobody from anything else', async () => {
    const webhooks = { endpoints: { ehr: { url: 'https://ehr.example/', secretFile: '/nowhere/secret' } } }
    const { operator } = openOperator(await house(), settings.parse({ webhooks }))
    let err = ''
    const context: Context = {
      print: () => undefined,
      printError(text) {
        err += text
      },
      readFile: async () => new Uint8Array(),
      writeFile: async () => undefined,
      withOperator: (_, work) => work(operator),
    }
    expect(await runCommand(['domain', 'list'], context)).toBe(0)
    expect(err).toBe('')
    expect(await runCommand(['webhook', 'list'], context)).toBe(1)
    expect(err).toBe('error: webhooks.endpoints.ehr.secretFile cannot be read: ENOENT\n')
  })
})

describe('webhook', () => {
  it('is listed, tested, paused, resumed and replayed', async () => {
    const { run, store } = await desk()
    expect((await run('webhook list')).out).toMatch(/dead +http:\/\/127\.0\.0\.1:1\/ +new[\s\S]*ehr-north .* new/)
    await store.commit(changed({ name: 'ehr-north', version: 'absent' }, { cursor: 0 }))
    await happen(store, 7)
    expect(JSON.parse((await run('webhook list --json')).out)[1]).toMatchObject({
      name: 'ehr-north',
      state: 'telling',
      cursor: 0,
      behind: 7,
      steps: ['sent'],
    })
    expect(await run('webhook test ehr-north')).toEqual({ code: 0, out: 'ehr-north answered 202.\n', err: '' })
    expect(await run('webhook test dead')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^error: dead: .*ECONNREFUSED/),
    })
    expect((await run('webhook pause ehr-north')).out).toBe('Paused ehr-north.\n')
    expect((await run('webhook list')).out).toMatch(/paused/)
    expect((await run('webhook replay ehr-north --from 3')).out).toBe(
      'Telling ehr-north again from event 3 on: 5 so far.\n',
    )
    expect((await readState(store, 'ehr-north'))?.state).toEqual({ cursor: 2, paused: 'operator' })
    expect((await run('webhook resume ehr-north')).code).toBe(0)
    expect((await run('webhook replay ehr-north --from 2h')).out).toMatch(/from event 1 on: 7/)
    expect((await run('webhook replay ehr-north --from 2001-01-01T00:00Z')).out).toMatch(/from event 1 on: 7/)
  })

  it('that is unknown, or a place that is none, changes nothing', async () => {
    const { run, store } = await desk()
    for (const line of ['webhook test x', 'webhook pause x', 'webhook resume x', 'webhook replay x --from 1'])
      expect(await run(line), line).toMatchObject({ code: 1, err: 'error: no webhook x is configured\n' })
    for (const place of ['0', '-1', 'yesterday', '1.5', ''])
      expect((await run(`webhook replay ehr-north --from=${place}`)).code, place).toBe(2)
    expect((await run('webhook replay ehr-north')).code).toBe(2)
    expect(await readState(store, 'ehr-north')).toBeUndefined()
  })
})
