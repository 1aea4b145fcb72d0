import type { ConditionalFetch } from '../ports/fetch.js'
import { conditionalFetch, type FetchRules } from './fetch.js'

/**
 * Fetches trust bundles within rules. One that is asked for over TLS is not led on to plain http: where nobody signed it,
 * TLS is all that says whose it is.
 */
export function bundleFetch(rules: Partial<FetchRules>): ConditionalFetch {
  const anywhere = conditionalFetch(rules)
  const overTls = conditionalFetch({ ...rules, schemes: ['https:'] })
  return (url, known) => (/^https:/i.test(url) ? overTls : anywhere)(url, known)
}
