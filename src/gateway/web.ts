import type { Caller } from '../api/caller.js'
import type { ApiOptions, ApiPorts, Presented } from '../api/ports.js'
import { clock, random } from '../house.js'
import { openOauth } from '../oauth/oauth.js'
import { routes } from '../oauth/places.js'
import { accountPages } from '../pages/account.js'
import { activityPages } from '../pages/activity.js'
import { addressPages } from '../pages/addresses.js'
import { appPages } from '../pages/apps.js'
import { authorizationError, authorizePages } from '../pages/authorize.js'
import { claimPages } from '../pages/claim.js'
import { pickupPages } from '../pages/pickup.js'
import { recordPages } from '../pages/records.js'
import { recoveryPages } from '../pages/recovery.js'
import { mountPages } from '../pages/session.js'
import { sharingPages } from '../pages/sharing.js'
import { signInPages } from '../pages/sign-in.js'
import { signUpPages } from '../pages/sign-up.js'
import type { Activation } from '../pipeline/activation.js'
import { conditionalFetch } from '../resolve/fetch.js'
import type { Connections } from './connections.js'
import { every, type Parts } from './parts.js'
import type { Society } from './people.js'

const sweepEveryMs = 5 * 60_000
/** Keys of a client at its own place. */
const jwksBytes = 64 * 1024

/** What browsers and applications meet beside the API: pages, and the authorization server. */
export interface Web {
  readonly also: NonNullable<ApiOptions['also']>
  /** Who holds an access token of an application. */
  authenticate(secret: string, presented?: Presented): Promise<Caller | undefined>
  /** Where it is, for whoever reads the capabilities of the FHIR side. */
  readonly oauthUris: NonNullable<ApiPorts['oauthUris']>
}

/** Opens them. Ends what ran out of the authorization server every few minutes. */
export async function openWeb(
  parts: Parts,
  society: Society,
  { connect, claims, newcomers }: Pick<Connections, 'connect' | 'claims' | 'newcomers'>,
  activation: Activation,
): Promise<Web> {
  const { house, config, log } = parts
  const { store, vault, audit, apps, activity } = house
  const { origin, people, consents } = society
  const { service } = config.letters
  const { allowPrivateAddresses: allowPrivate, timeoutMs } = config.fetch
  const oauth = await openOauth(
    {
      ...{ store, vault, clock, random, apps, consents, people, log },
      fetch: conditionalFetch({ schemes: ['https:'], sizeBytes: jwksBytes, allowPrivate, timeoutMs }),
    },
    { issuer: origin, errorPage: authorizationError(service) },
  )
  every(parts, sweepEveryMs, 'oauth.not-swept', async () => {
    for (let after: string | undefined; ; ) {
      const { next } = await oauth.sweep(after)
      if (next === undefined) return
      after = next
    }
  })
  const { records } = people
  const picked = claimPages({ claims, newcomers, activation, apps, records, store })
  const seen = { sessions: people.sessions, clock, log, trace: { store, audit } }
  const pages = mountPages(seen, { origin, house: service }, [
    signUpPages(people),
    signInPages(people),
    recoveryPages(people),
    accountPages(people),
    recordPages(people),
    sharingPages(people),
    appPages({ consents, apps, people }),
    activityPages({ activity, apps, people }),
    addressPages({ activation, people }),
    pickupPages({ connect, apps, records, store, audit, clock, others: picked.others }),
    picked.routes,
    authorizePages({ decisions: oauth.decisions, consents, records }),
  ])
  return {
    async also(app) {
      await app.register(oauth.plugin)
      await app.register(pages)
    },
    authenticate: (secret, presented) => oauth.authenticate(secret, presented),
    oauthUris: {
      authorize: origin + routes.authorization,
      token: origin + routes.token,
      revoke: origin + routes.revocation,
      introspect: origin + routes.introspection,
    },
  }
}
