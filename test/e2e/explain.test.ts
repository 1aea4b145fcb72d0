import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  ask,
  domain,
  type Estate,
  furnished,
  mustRun,
  patient,
  run,
  type Serving,
  sender,
  serve,
} from '../fixtures/process.js'

/** The words without what differs between two askings: whether the path was found before. */
const plain = (text: string) => text.replaceAll(', as found before', '')

describe('why somebody is trusted, asked of real programs with certificates of OpenSSL', () => {
  let estate: Estate
  let serving: Serving | undefined
  beforeAll(async () => {
    estate = await furnished(1, 'dns: { servers: ["127.0.0.1:1"], timeoutMs: 200, attempts: 1 }')
  })
  afterAll(async () => {
    await serving?.stop()
    estate.remove()
  })

  const explain = (...more: string[]) => run(estate.folder, 'trust', 'explain', '--config', 'gateway.yaml', ...more)
  const receive = (certificate: string) => explain('--from', sender, '--to', patient, '--cert', certificate)

  it('answers alike while no gateway runs, of the one that runs, and over the API', async () => {
    const closed = await receive(estate.provider.certificatePath)
    expect([closed.code, closed.err]).toEqual([0, ''])
    expect(closed.out).toMatch(new RegExp(`Receiving at ${patient} from ${sender}\n  TRUSTED`))
    expect(closed.out).toContain(`anchor of ${domain}, both`)

    serving = await serve(estate.folder)
    const open = await receive(estate.provider.certificatePath)
    expect([open.code, plain(open.out)]).toEqual([0, plain(closed.out)])
    const stranger = await receive(estate.stranger.certificatePath)
    expect([stranger.code, stranger.out.includes('REFUSED: no-anchor')]).toEqual([1, true])

    const token = await mustRun(
      estate.folder,
      'token',
      'create',
      '--address',
      '*',
      '--scope',
      'operator',
      '--json',
      '--config',
      'gateway.yaml',
    )
    const { secret } = JSON.parse(token) as { secret: string }
    const query = new URLSearchParams({ from: sender, to: patient })
    const api = await ask(serving.url, secret, `/api/v1/trust/explain?${query}`)
    expect([api.status, api.json()]).toMatchObject([200, { decisions: [{ verdict: { kind: 'undecided' } }] }])
  })

  it('says where it looked, and that nobody answered', async () => {
    const { code, out } = await explain('--from', patient, '--to', sender)
    expect(code).toBe(1)
    expect(out).toContain('UNDECIDED: certificate-discovery-unavailable')
    expect(out).toMatch(/unavailable {2}dns: /)
    expect(out).toContain('a message waits')
  })
})
