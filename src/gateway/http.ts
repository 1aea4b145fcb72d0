import { createSecureContext, type Server } from 'node:tls'
import { buildApi, listenApi } from '../api/api.js'
import { callerOf } from '../api/caller.js'
import type { ApiPorts } from '../api/ports.js'
import { openAuditReport } from '../audit/report.js'
import type { Config } from '../config/settings.js'
import { clock, type House } from '../house.js'
import type { Log } from '../ports/observe.js'
import { serverTls } from '../ports/tls.js'
import { causeOf, certificateOf, listening, type Parts, type ServerCertificate } from './parts.js'
import type { Web } from './web.js'

const renewEveryMs = 60_000

/** What the API needs and gets here. */
type Ours =
  | 'addresses'
  | 'auditReport'
  | 'authenticate'
  | 'checks'
  | 'clock'
  | 'exposition'
  | 'log'
  | 'metrics'
  | 'oauthUris'

/** The API and what goes with it, pages and the authorization server included; answers its URL. */
export async function startHttp(
  { house, config, log, metrics, health, closers }: Parts,
  more: Omit<ApiPorts, keyof House | Ours>,
  web: Web & { readonly origin: string },
): Promise<string> {
  const { http } = config
  const tls = certificateOf(http.tls)
  const behind = { ...(tls && { tls }), behindTlsProxy: http.behindTlsProxy }
  const api = await buildApi(
    {
      ...house,
      ...more,
      ...{ addresses: house.directory.addresses, clock, log, metrics },
      authenticate: async (secret, presented) =>
        callerOf(await house.directory.tokens.authenticate(secret, clock.now())) ??
        (await web.authenticate(secret, presented)),
      auditReport: openAuditReport(house.store),
      oauthUris: web.oauthUris,
      checks: () => health.ready(),
      exposition: () => metrics.exposition(),
    },
    { ...behind, metrics: http.metrics, trustedProxies: http.trustedProxies, origin: web.origin, also: web.also },
  )
  closers.push((graceMs) => closeApi(api, graceMs))
  const url = await listening('http', http, () => listenApi(api, { host: http.host, port: http.port }, behind))
  closers.push(renewing(api.server, config, tls, log))
  return url
}

/** Ends what answers nobody now, waits for the others within the grace, then cuts them off. */
async function closeApi(
  api: { readonly server: { closeAllConnections(): void }; close(): PromiseLike<unknown> },
  graceMs: number,
): Promise<void> {
  const late = setTimeout(() => api.server.closeAllConnections(), graceMs)
  try {
    await api.close()
  } finally {
    clearTimeout(late)
  }
}

/** Keeps the HTTP listener's certificate in step with its files; answers how to stop. The SMTP listener looks for itself. */
function renewing(server: object, { http }: Config, first: ServerCertificate | undefined, log: Log): () => void {
  let current = first
  const timer = setInterval(() => {
    try {
      const next = certificateOf(http.tls)
      if (!next || !('setSecureContext' in server) || (next.cert === current?.cert && next.key === current?.key)) return
      createSecureContext(next)
      ;(server as Server).setSecureContext({ ...serverTls, ...next })
      current = next
      log.info('http.certificate-renewed')
    } catch (error) {
      log.error('http.certificate-not-loaded', { cause: causeOf(error) })
    }
  }, renewEveryMs)
  return () => clearInterval(timer)
}
