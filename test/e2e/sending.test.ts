import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { openAttempts } from '../../src/delivery/attempt.js'
import { homeFirst } from '../../src/delivery/local.js'
import { startDelivery } from '../../src/delivery/worker.js'
import type { DirectAddress, DirectDomain } from '../../src/direct/address.js'
import { send } from '../../src/pipeline/outbound.js'
import { startWork } from '../../src/pipeline/work.js'
import { submissionQueue } from '../../src/spool/submission.js'
import { loopback, scriptedPeer } from '../delivery/scripted.js'
import {
  alice,
  bob,
  clinicAuthority,
  domain,
  done,
  furnish,
  gatewayAuthority,
  messagesOf,
  newDisk,
  work,
} from '../fixtures/gateway.js'
import { makeLeaf } from '../fixtures/pki.js'
import { bootSending, letter, statesOf, submitTo } from '../fixtures/sending.js'

/** A message over real sockets, with OpenSSL as the far side that decrypts and verifies it. */

const folder = mkdtempSync(join(tmpdir(), 'dg-sending-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = (name: string, content: string | Uint8Array) => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
const openssl = (...args: string[]) =>
  execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 }).toString('latin1')

const random = { bytes: (size: number) => new Uint8Array(size) }
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined }
const uncounted = { count: () => undefined, observe: () => undefined, gauge: () => undefined }

async function until(holds: () => boolean | Promise<boolean>) {
  for (let waited = 0; !(await holds()); waited += 10) {
    if (waited > 20_000) throw new Error('It did not become true')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

it('sends to another gateway, which decrypts and verifies it, and to somebody here without a socket', async () => {
  const far = 'doctor@clinic.example' as DirectAddress
  const gone = 'gone@clinic.example' as DirectAddress
  const farKey = makeLeaf(clinicAuthority, { san: { dns: ['clinic.example'] } })
  const clock = { now: () => Date.now() }
  const gateway = await bootSending(newDisk(clock), {
    discovery: {
      of: async () => ({
        ...{ kind: 'found', source: 'dns', binding: 'domain', certificates: [farKey.certificate], steps: [] },
      }),
    },
  })
  await furnish(gateway)
  await done(gateway.directory.anchors.add({ owner: domain, ...gatewayAuthority, direction: 'both' }, 'test'))
  const peer = await scriptedPeer({ EHLO: '250-clinic.example\r\n250 SIZE 60000000' })
  const beyond = openAttempts({ hostname: 'us.example', exchanges: loopback, port: peer.port })
  const delivery = startDelivery({
    ...{ store: gateway.store, blobs: gateway.blobs, clock, random, log: quiet, metrics: uncounted, idleMs: 20 },
    attempt: homeFirst(beyond, {
      isOurs: async (one: DirectDomain) => (await gateway.directory.domains.get(one)) !== undefined,
      isServed: gateway.directory.addresses.isServed,
      accept: gateway.spool.accept,
      clock,
    }),
    prepare: gateway.prepare,
    outcomeParts: gateway.outcomes,
  })
  const sending = startWork({
    ...{ store: gateway.store, queue: submissionQueue, concurrency: 2, leaseMs: 30_000, clock, idleMs: 20 },
    handle: (job) => send(job, gateway),
    onError: (error) => {
      throw error
    },
  })
  try {
    const body = 'Sehr geehrte Frau Doktor.\r\n'.repeat(20_000)
    const sent = await submitTo(gateway, alice, [far, gone, bob], { text: letter(alice, [far, gone, bob], { body }) })
    if (sent.kind === 'refused') throw new Error(sent.detail)
    sending.nudge()
    await until(async () => Object.values(await statesOf(gateway, alice, sent.id)).every((one) => one === 'sent'))
    await work(gateway)
    expect(await messagesOf(gateway, bob)).toMatchObject([{ from: alice }])

    // One transaction with both recipients of the domain, and what validators look for in what it carried.
    expect(peer.messages).toHaveLength(1)
    expect(peer.commands.filter((one) => one.startsWith('RCPT'))).toEqual([`RCPT TO:<${far}>`, `RCPT TO:<${gone}>`])
    const wire = `${peer.messages[0]}\r\n`
    const outside = wire.slice(0, wire.indexOf('\r\n\r\n'))
    expect(outside).toMatch(/^Content-Type: application\/pkcs7-mime; smime-type=enveloped-data; name="smime\.p7m"$/m)
    expect(outside).toMatch(/^Content-Disposition: attachment; filename="smime\.p7m"$/m)
    expect(outside).toMatch(/^Content-Transfer-Encoding: base64$/m)
    for (const field of ['MIME-Version: 1.0', 'Date: ', `From: <${alice}>`, 'To: <', 'Message-ID: <m1@x>'])
      expect(`\n${outside}`).toContain(`\n${field}`)
    expect(outside).not.toMatch(/^(subject|bcc|sender):/im)

    const encrypted = file('wire.eml', Buffer.from(wire, 'latin1'))
    const structure = openssl('cms', '-cmsout', '-print', '-inform', 'SMIME', '-in', encrypted)
    expect(structure).toContain('d.issuerAndSerialNumber')
    expect(structure).not.toContain('subjectKeyIdentifier')
    expect(structure).toMatch(/contentEncryptionAlgorithm:\s+algorithm: aes-(128|192|256)-cbc/)
    const key = ['-recip', file('far.pem', farKey.certificatePem), '-inkey', file('far.key', farKey.privateKeyPem)]
    const signed = openssl('cms', '-decrypt', '-in', encrypted, ...key)
    expect(signed).toMatch(
      /^Content-Type: multipart\/signed; protocol="application\/pkcs7-signature";\r?\n micalg=sha-256; boundary="/,
    )
    expect(signed).toContain('filename="smime.p7s"')
    const anchors = ['-CAfile', file('ca.pem', gatewayAuthority.certificatePem), '-purpose', 'any']
    const inner = openssl('cms', '-verify', '-in', file('signed.eml', Buffer.from(signed, 'latin1')), ...anchors)
    expect(inner).toMatch(/^Content-Type: message\/rfc822\r?\n/)
    for (const field of [
      'MIME-Version: 1.0',
      'Date: ',
      `From: <${alice}>`,
      'Subject: Secret subject',
      'Message-ID: <m1@x>',
    ])
      expect(inner).toContain(`\n${field}`)
    expect(inner).toContain('Sehr geehrte Frau Doktor.')
  } finally {
    await sending.stop(1000)
    await delivery.stop(1000)
    peer.close()
  }
})
