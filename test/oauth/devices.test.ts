import { beforeAll, describe, expect, it } from 'vitest'
import type { App } from '../../src/consent/consent.js'
import { deviceGrant } from '../../src/oauth/clients.js'
import { from, nativeApp, type OauthWorld, openOauthWorld, post } from './world.js'

let world: OauthWorld
let app: App

beforeAll(async () => {
  world = await openOauthWorld({ limits: { userCodeTries: 3 } })
  app = await world.register(nativeApp)
})

async function begin(scope = 'patient/Condition.rs offline_access') {
  const answer = await post(world, '/oauth/device-authorization', { client_id: app.id, scope })
  expect(answer.statusCode).toBe(200)
  return answer.json()
}

const poll = (device_code: string) =>
  post(world, '/oauth/token', { grant_type: deviceGrant, device_code, client_id: app.id })

const choice = (person = 'mother') => ({ session: world.session(person), record: 'child', online: [], offline: [] })

describe('a device without a browser', () => {
  it('gets its tokens once a person allowed it elsewhere', async () => {
    const { device_code, user_code, verification_uri } = await begin()
    expect(verification_uri).toBe(`${world.issuer}/device`)
    expect((await poll(device_code)).json().error).toBe('authorization_pending')
    const request = await world.oauth.decisions.device(user_code.toLowerCase().replace('-', ' '), 'mother')
    expect(request).toMatchObject({ app: { name: 'Pocket' }, avenue: 'offline', wantsRecord: true })
    expect(await world.oauth.decisions.allowDevice(user_code, choice(), from)).toEqual({ kind: 'done' })
    const body = (await poll(device_code)).json()
    expect(body).toMatchObject({
      scope: 'patient/Condition.rs offline_access',
      patient: world.consents.pseudonyms.record(app.id, 'child'),
    })
    expect(body.refresh_token).toBeDefined()
    expect((await poll(device_code)).json().error).toBe('invalid_grant')
  })

  it('is told where the person refused', async () => {
    const { device_code, user_code } = await begin()
    expect(await world.oauth.decisions.denyDevice(user_code, 'mother')).toEqual({ kind: 'done' })
    expect((await poll(device_code)).json().error).toBe('access_denied')
  })

  it('is allowed once', async () => {
    const { user_code } = await begin()
    const all = await Promise.all(
      Array.from({ length: 5 }, () => world.oauth.decisions.allowDevice(user_code, choice(), from)),
    )
    expect(all.filter(({ kind }) => kind === 'done')).toHaveLength(1)
    expect(await world.oauth.decisions.device(user_code, 'mother')).toBeUndefined()
  })

  it('is not found by guessing where it is allowed, either', async () => {
    const { user_code } = await begin()
    world.hold('guesser', 'child')
    for (let at = 0; at < 3; at++)
      expect((await world.oauth.decisions.allowDevice(`BCDF-${at}GHJ`, choice('guesser'), from)).kind).toBe('gone')
    expect(await world.oauth.decisions.device(user_code, 'guesser')).toBe('too-many-tries')
    expect((await world.oauth.decisions.allowDevice(user_code, choice('guesser'), from)).kind).toBe('gone')
    expect((await world.oauth.decisions.denyDevice(user_code, 'guesser')).kind).toBe('gone')
  })

  it('is not found by guessing: a few wrong codes, then none for a while', async () => {
    const { user_code } = await begin()
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) => world.oauth.decisions.device(`BCDF-${at}GHJ`, 'father')),
    )
    expect(answers.filter((one) => one === undefined)).toHaveLength(3)
    expect(await world.oauth.decisions.device(user_code, 'father')).toBe('too-many-tries')
    expect((await world.oauth.decisions.allowDevice(user_code, choice('father'), from)).kind).toBe('gone')
    expect(await world.oauth.decisions.device(user_code, 'mother')).toBeDefined()
  })
})
