import { afterAll, beforeAll, expect, it } from 'vitest'
import { openGateway } from './gateway.js'

let gateway: Awaited<ReturnType<typeof openGateway>>
let headers: Record<string, string>
beforeAll(async () => {
  gateway = await openGateway()
  headers = (await gateway.token('*', ['operator', 'record:read'])).headers
})
afterAll(() => gateway.app.close())

async function report(query: string) {
  const response = await gateway.app.inject({ method: 'GET', url: `/api/v1/audit${query}`, headers })
  return { status: response.statusCode, body: response.json() as { entries: { action: string; actor: string }[] } }
}

it('tells who looked at what, sorted as asked', async () => {
  const { recordId } = gateway.patients.alice
  await gateway.app.inject({ method: 'GET', url: `/api/v1/records/${recordId}/items`, headers })
  const { status, body } = await report(`?action=api.*&subject=${recordId}&sort=actor&order=descending`)
  expect(status).toBe(200)
  expect(body.entries).toMatchObject([
    { action: 'api.items.list', outcome: 'success', at: expect.stringMatching(/Z$/), subject: { record: recordId } },
  ])
})

it('tells of itself as well', async () => {
  await report('')
  expect((await report('?action=api.audit.read')).body.entries.length).toBeGreaterThan(0)
})

it.each(['?sort=secret', '?from=yesterday', '?limit=0', '?limit=1001', '?outcome=maybe', '?more=1'])(
  'refuses %s',
  async (query) => {
    expect((await report(query)).status).toBe(400)
  },
)
