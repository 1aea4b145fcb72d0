import type { Look } from '../finding.js'
import { notes } from './notes.js'
import { appToken } from './regulatory-app.js'
import { absoluteSeconds, idleSeconds, type RegulatoryWorld, signedIn } from './regulatory-world.js'

/**
 * 45 CFR 170.315(d)(5): who rests too long must come in again, for the API, for pages and for what an application does in his
 * name; and so must whoever never rests. Minutes pass by the gateway's clock, which is put ahead.
 */
export async function sessionCase(world: RegulatoryWorld): Promise<Look> {
  const heard = notes()
  const { patient } = world
  const [resting, working] = [await signedIn(world, patient), await signedIn(world, patient)]
  const { token, record } = await appToken(world, resting, patient.record)
  const its = `/api/v1/records/${record}/items?type=problem`
  const app = world.fresh()
  const status = async (what: string, asked: Promise<{ readonly status: number }>, must: RegExp) =>
    heard.hear(what, String((await asked).status), must)

  // Each is used once more, so that all rest from now on.
  const api = (client = resting) => client.ask('GET', `/api/v1/records/${patient.record}/items`)
  const page = (client = resting) => client.ask('GET', '/records')
  await status('API, signed in', api(), /^200$/)
  await status('page, signed in', page(), /^200$/)
  await world.ahead(idleSeconds / 2)
  await status('API at half of the idle time', api(), /^200$/)
  await status('another at half of it', api(working), /^200$/)
  await world.ahead(idleSeconds - 30)
  await status('its application before the idle time', app.ask('GET', its, { token }), /^200$/)
  await status('another before the idle time', api(working), /^200$/)
  await world.ahead(40)
  await status('its application after the idle time', app.ask('GET', its, { token }), /^401$/)
  await status('API after the idle time', api(), /^401$/)
  const elsewhere = await page()
  const place = `${elsewhere.status} ${elsewhere.headers.location}`
  heard.hear('page after the idle time', place, /^303 \/sign-in\b/)
  const change = { json: { name: 'Somebody' } }
  await status('a change after the idle time', resting.ask('PATCH', '/api/v1/account', change), /^401$/)
  await status('who went on working', api(working), /^200$/)

  // Half an idle time at a time, until no work keeps it alive.
  const signedInFor = idleSeconds / 2 + idleSeconds + 10
  const step = idleSeconds / 2
  let passed = signedInFor
  for (; passed + step < absoluteSeconds; passed += step) {
    await world.ahead(step)
    await status(`who works for ${passed + step} s`, api(working), /^200$/)
  }
  await world.ahead(absoluteSeconds - passed + 1)
  await status('who worked beyond the limit of every session', api(working), /^401$/)
  const again = await signedIn(world, patient)
  await status('who came in anew', api(again), /^200$/)
  const sessions = (await again.must(200, 'GET', '/api/v1/account/sessions')).json<{ sessions: readonly unknown[] }>()
  heard.hear('sessions that are left', String(sessions.sessions.length), /^1$/)
  heard.seen.push(`${idleSeconds} s of rest and ${absoluteSeconds} s in all`)
  return heard.look()
}
