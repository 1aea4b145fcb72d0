import { describe, expect, it } from 'vitest'
import { buildApi } from '../../src/api/api.js'
import { fileLimits, startFiles } from '../../src/api/files.js'
import { authorities } from '../authority/worlds.js'
import { openGateway } from './gateway.js'

const log = { info: () => undefined, warn: () => undefined, error: () => undefined }
const metrics = { count: () => undefined, observe: () => undefined, gauge: () => undefined }

describe('the files of our authorities', () => {
  it('are there for anybody, with a type, an age and a tag, by GET and HEAD', async () => {
    const { authority, created } = await authorities()
    const { id, list } = await created()
    const gateway = await openGateway()
    const api = await buildApi({ ...gateway.ports, files: authority })
    const got = await api.inject({ url: `/pki/${id}.crl` })
    expect(got.statusCode).toBe(200)
    expect(got.headers).toMatchObject({
      'content-type': 'application/pkix-crl',
      'cache-control': 'public, max-age=3600',
      'last-modified': new Date(list.thisUpdate).toUTCString(),
      'x-content-type-options': 'nosniff',
    })
    expect(got.rawPayload).toEqual(Buffer.from((await authority.file(`${id}.crl`))?.bytes ?? []))
    const head = await api.inject({ method: 'HEAD', url: `/pki/${id}.cer` })
    expect([head.statusCode, head.headers['content-type'], head.rawPayload.length]).toEqual([
      200,
      'application/pkix-cert',
      0,
    ])
    for (const headers of [
      { 'if-none-match': `W/"x", ${got.headers['etag']}` },
      { 'if-modified-since': String(got.headers['last-modified']) },
    ])
      expect((await api.inject({ url: `/pki/${id}.crl`, headers })).statusCode).toBe(304)
    const other = { 'if-none-match': '"other"', 'if-modified-since': String(got.headers['last-modified']) }
    expect((await api.inject({ url: `/pki/${id}.crl`, headers: other })).statusCode).toBe(200)
  })

  it('are nothing else: every other name, path and method is not found', async () => {
    const { authority, created } = await authorities()
    const { id } = await created()
    const gateway = await openGateway()
    const api = await buildApi({ ...gateway.ports, files: authority })
    for (const url of [`/pki/${id}.pem`, '/pki/', '/pki', `/pki/..%2f${id}.crl`, `/pki/${'0'.repeat(16)}.crl`])
      expect((await api.inject({ url })).statusCode, url).toBe(404)
    expect((await api.inject({ method: 'POST', url: `/pki/${id}.crl` })).statusCode).toBe(404)
    const without = await buildApi(gateway.ports)
    expect((await without.inject({ url: `/pki/${id}.crl` })).statusCode).toBe(404)
  })

  it('have a listener of their own over plain HTTP that serves nothing else and slows down who asks too often', async () => {
    const { authority, created, clock } = await authorities()
    const { id } = await created()
    const listener = await startFiles({ files: authority, clock, log, metrics }, { host: '127.0.0.1', port: 0 })
    try {
      const got = await fetch(`${listener.url}/pki/${id}.crl`)
      expect([got.status, got.headers.get('content-type')]).toEqual([200, 'application/pkix-crl'])
      expect((await fetch(`${listener.url}/api/v1/openapi.json`)).status).toBe(404)
      const statuses = []
      for (let i = 0; i < fileLimits.perAddress.burst; i++)
        statuses.push((await fetch(`${listener.url}/pki/${id}.cer`, { method: 'HEAD' })).status)
      expect(statuses[0]).toBe(200)
      expect(statuses.at(-1)).toBe(429)
      clock.advance(60_000)
      expect((await fetch(`${listener.url}/pki/${id}.cer`)).status).toBe(200)
    } finally {
      await listener.close()
    }
  })
})
