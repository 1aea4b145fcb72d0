/** The head of the OpenAPI document; paths and schemas come from the routes. */
export const describeApi = {
  openapi: '3.1.0',
  info: {
    title: 'direct-gateway',
    version: '1.0.0',
    description:
      'Mailboxes, records and message trails of a Direct gateway. What a token may not see answers 404, whether it exists or not. Errors are RFC 9457 problem details with a stable `code`; `instance` names the request as the audit log does.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  servers: [{ url: '/' }],
  tags: [
    { name: 'messages', description: 'The Message Center: messages per Direct address' },
    { name: 'records', description: "Patients' records: items and the documents they were read from" },
    { name: 'operator', description: 'For those who run the gateway; shows no clinical content' },
    { name: 'health', description: 'Probes, metrics and this description' },
  ],
  components: {
    securitySchemes: {
      bearer: {
        type: 'http' as const,
        scheme: 'bearer',
        description: 'A token made with `direct-gateway token create`, for one address or for the whole gateway',
      },
    },
  },
}

/**
 * Finishes the document: schemas that no route names are dropped (each is made once for requests and once for
 * responses), and objects may grow fields without breaking clients that check what they read.
 */
export function tidied<T extends object>(document: T): T {
  const text = JSON.stringify(document, (key, value) =>
    key === 'additionalProperties' && value === false ? undefined : value,
  )
  const tidy = JSON.parse(text) as T & { components?: { schemas?: Record<string, unknown> } }
  const schemas = tidy.components?.schemas ?? {}
  const requests = Object.keys(schemas).filter((name) => name.endsWith('Input'))
  for (const name of requests) delete schemas[name]
  return tidy
}
