import { buildApi } from './api.js'
import type { ApiPorts } from './ports.js'

/** The OpenAPI 3.1 document of the routes, without a running server. */
export async function openapiDocument(): Promise<Record<string, unknown>> {
  const app = await buildApi(describingOnly)
  await app.ready()
  const document = app.swagger() as unknown as Record<string, unknown>
  await app.close()
  return document
}

/** The text of docs/api/openapi.json: the document, indented, with a final line end. */
export async function writeOpenapi(): Promise<string> {
  return `${JSON.stringify(await openapiDocument(), null, 2)}\n`
}

/** No handler runs while the document is made; one that did would fail here. */
const describingOnly = new Proxy({} as ApiPorts, {
  get(_, port) {
    if (port === 'clock') return { now: () => 0 }
    throw new Error(`Describing the API must not use ${String(port)}`)
  },
})
