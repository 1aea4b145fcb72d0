import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { AuthorityFile, AuthorityFiles } from '../../ports/authority.js'
import { Problem } from '../problem.js'
import { refusal } from '../schemas.js'

const bytes = z.string()

/**
 * Revocation lists and certificates of our own authorities (RFC 2585 §3), for anybody: what they hold is public, and is
 * asked for by peers who have no token of ours. They leave no audit entry.
 */
export function authorityFileRoutes(app: FastifyInstance, ports: { readonly files?: AuthorityFiles }): void {
  const url = '/pki/:name'
  const config = { access: 'public' } as const
  async function handler(request: FastifyRequest, reply: FastifyReply) {
    const { name } = request.params as { readonly name: string }
    const file = await ports.files?.file(name)
    if (!file) throw new Problem('not-found')
    return answer(file, request, reply)
  }
  app.route({
    method: 'GET',
    url,
    config,
    schema: {
      operationId: 'authorityFile',
      summary: 'A revocation list (`<id>.crl`) or the certificate (`<id>.cer`) of an authority of ours, DER',
      tags: ['certificates'],
      security: [],
      params: z.object({ name: z.string() }),
      response: {
        200: {
          description: 'The file',
          content: { 'application/pkix-crl': { schema: bytes }, 'application/pkix-cert': { schema: bytes } },
        },
        404: refusal('No such file'),
        429: refusal('Too many requests'),
        503: refusal('Cannot answer now'),
      },
    },
    handler,
  })
  app.route({ method: 'HEAD', url, config, schema: { hide: true }, handler })
}

/** The file, or 304 where the asker has it (RFC 9110 §13.2.2). */
function answer(file: AuthorityFile, { headers }: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { etag, lastModified, maxAgeSeconds, mediaType } = file
  reply.headers({
    'cache-control': `public, max-age=${maxAgeSeconds}`,
    etag,
    'last-modified': new Date(lastModified).toUTCString(),
    // Anybody may have it: a page elsewhere that shows a list does no harm.
    'cross-origin-resource-policy': 'cross-origin',
  })
  if (isKnown(file, headers['if-none-match'], headers['if-modified-since'])) return reply.code(304).send()
  return reply.type(mediaType).send(Buffer.from(file.bytes))
}

function isKnown({ etag, lastModified }: AuthorityFile, tags: string | undefined, since: string | undefined): boolean {
  if (tags !== undefined)
    return tags.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag)
  const at = Date.parse(since ?? '')
  return !Number.isNaN(at) && Math.floor(lastModified / 1_000) * 1_000 <= at
}
