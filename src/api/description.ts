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
