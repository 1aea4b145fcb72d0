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
 * Finishes the document: each schema is made once for requests (`…Input`) and once for responses, and of these only what some
 * route names stays, under its plain name where that is free; objects may grow fields without breaking clients that check
 * what they read.
 */
export function tidied<T extends object>(document: T): T {
  const text = JSON.stringify(document, (key, value) =>
    key === 'additionalProperties' && value === false ? undefined : value,
  )
  const tidy = JSON.parse(text) as Described
  const used = usedSchemas(tidy)
  const renamed = [...used].filter((name) => name.endsWith('Input') && !used.has(name.slice(0, -'Input'.length)))
  const schemas = Object.entries(tidy.components?.schemas ?? {}).filter(([name]) => used.has(name))
  const plain = (name: string) => (renamed.includes(name) ? name.slice(0, -'Input'.length) : name)
  const components = { ...tidy.components, schemas: Object.fromEntries(schemas) }
  const told = JSON.stringify({ ...tidy, components })
  const named = JSON.parse(told.replace(reference, (_, name: string) => `"${refersTo}${plain(name)}"`)) as Described
  const byName = Object.entries(named.components?.schemas ?? {}).map(([name, schema]) => [plain(name), schema] as const)
  return { ...named, components: { ...named.components, schemas: Object.fromEntries(byName) } } as unknown as T
}

interface Described {
  readonly paths?: unknown
  readonly components?: { readonly schemas?: Readonly<Record<string, unknown>> }
}

const refersTo = '#/components/schemas/'
const reference = /"#\/components\/schemas\/([^"]+)"/g

/** Names of the schemas that routes name, and that these name in turn. */
function usedSchemas({ paths, components }: Described): ReadonlySet<string> {
  const used = new Set<string>()
  const look = (part: unknown) => {
    for (const [, name = ''] of JSON.stringify(part ?? {}).matchAll(reference)) {
      if (used.has(name)) continue
      used.add(name)
      look(components?.schemas?.[name])
    }
  }
  look(paths)
  return used
}
