import { describe, expect, it } from 'vitest'
import { dayMs, makeAuthority, makeIntermediate, makeLeaf } from '../fixtures/pki.js'
import { keyboard } from './world.js'

const domain = 'patients.example'
const alice = `alice@${domain}`
const doctor = 'doctor@clinic.example'
const root = makeAuthority({ name: 'Clinic Root' })
const middle = makeIntermediate(root, { name: 'Clinic Middle' })
const good = makeLeaf(middle, { name: 'Dr. Sample', san: { email: [doctor] } })
const late = makeLeaf(root, {
  name: 'Late',
  san: { dns: ['clinic.example'] },
  notBefore: 0,
  notAfter: Date.now() - dayMs,
})
const spiteful = makeLeaf(root, { name: '\u001b[2J\u202eevil', san: { email: [doctor] } })

const files = {
  'root.pem': root.certificatePem,
  'good.pem': good.certificatePem + middle.certificatePem,
  'leaf.pem': good.certificatePem,
  'middle.pem': middle.certificatePem,
  'good.der': good.certificate,
  'late.pem': late.certificatePem,
  'spiteful.pem': spiteful.certificatePem,
  'text.txt': 'nothing',
}

async function served({ anchored = true } = {}) {
  const at = await keyboard(files)
  const must = async (...argv: string[]) => {
    const { code, err } = await at.run(...argv)
    expect([code, err]).toEqual([0, ''])
  }
  await must('domain', 'add', domain)
  await must('address', 'add', alice)
  const key = makeLeaf(makeAuthority(), { san: { dns: [domain] } })
  await at.gateway.directory.keys.add({ owner: domain, certificate: key.certificate, pkcs8: key.pkcs8 }, 'test')
  if (anchored) await must('anchor', 'add', 'root.pem', '--for', domain, '--direction', 'in')
  const explain = (...more: string[]) => at.run('trust', 'explain', ...more)
  return { ...at, must, explain, receive: (...more: string[]) => explain('--from', doctor, '--to', alice, ...more) }
}

describe('trust explain', () => {
  it('tells a newcomer why a signer is believed: names, path, anchor, revocation', async () => {
    const { receive } = await served()
    const { code, out, err } = await receive('--cert', 'good.pem')
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain(`Receiving at ${alice} from ${doctor}\n  TRUSTED\n`)
    expect(out).toContain('revocation soft')
    expect(out).toContain(good.fingerprint)
    expect(out).toContain(`names ${doctor}`)
    expect(out).toMatch(
      /path 1: valid.*\n +CN=Dr\. Sample .*\n +CN=Clinic Middle .*\n +CN=Clinic Root .*; anchor of patients\.example, in\n/,
    )
    expect(out).toContain('revocation of CN=Dr. Sample: not-published')
    expect(out).toContain('=> trusted')
  })

  it('tells why not, with what to do, and ends with 1', async () => {
    const { receive } = await served()
    const late = await receive('--cert', 'late.pem')
    expect([late.code, late.err]).toEqual([1, ''])
    expect(late.out).toContain('REFUSED: certificate-expired')
    expect(late.out).toContain('The validity period of the certificate has ended.')
    expect(late.out).toContain(`names the domain of ${doctor}`)
    const nobody = await (await served({ anchored: false })).receive('--cert', 'good.der')
    expect(nobody.code).toBe(1)
    expect(nobody.out).toContain('REFUSED: no-anchor')
    expect(nobody.out).toContain('direct-gateway anchor add')
  })

  it('judges imported certificates where none is given', async () => {
    const { receive, must } = await served()
    await must('peer', 'add', 'leaf.pem', '--for', doctor)
    await must('issuer', 'add', 'middle.pem')
    const { code, out } = await receive()
    expect(out).toContain('found        imported: ')
    expect([code, out.includes('  TRUSTED')]).toEqual([0, true])
  })

  it('tells what sending lacks, for several recipients at once', async () => {
    const { explain, must } = await served()
    await must('domain', 'add', 'bare.example')
    await must('address', 'add', 'bob@bare.example')
    const { code, out } = await explain('--from', 'bob@bare.example', '--to', alice, 'bob@bare.example', '--json')
    expect(code).toBe(1)
    const { decisions, at } = JSON.parse(out)
    expect(at).toMatch(/^\d{4}-.*Z$/)
    const told = decisions.map((one: { direction: string; verdict: { kind: string; reason?: string } }) => [
      one.direction,
      one.verdict.reason ?? one.verdict.kind,
    ])
    expect(told).toEqual([
      ['sending', 'no-key-for-sender'],
      ['receiving', 'unknown'],
      ['sending', 'no-key-for-sender'],
      ['receiving', 'no-key-for-recipient'],
    ])
    const words = await explain('--from', 'bob@bare.example', '--to', alice)
    expect(words.out).toContain('Keys of bob@bare.example that may sign: none')
    expect(words.out).toContain('NOT KNOWN')
  })

  it('gives JSON with moments in words', async () => {
    const { receive } = await served()
    const { decisions } = JSON.parse((await receive('--cert', 'good.pem', '--json')).out)
    expect(decisions[0].certificates[0]).toMatchObject({ binding: 'address', notAfter: expect.stringMatching(/Z$/) })
    expect(decisions[0].certificates[0].paths[0].certificates[2].notBefore).toMatch(/Z$/)
  })

  it('lets no name in a certificate move the cursor', async () => {
    const { receive } = await served()
    const { out } = await receive('--cert', 'spiteful.pem')
    for (const character of ['\u001b', '\u202e']) expect(out).not.toContain(character)
    expect(out).toContain('evil')
  })

  it('says what is wrong with the question', async () => {
    const { explain, receive } = await served()
    expect(await explain('--from', 'nobody', '--to', alice)).toMatchObject({ code: 2 })
    expect((await explain('--from', doctor, '--to', 'x@far.example')).err).toContain('is served here')
    expect((await receive('--cert', 'text.txt')).err).toContain('holds no certificate')
    expect((await explain('--from', doctor)).code).toBe(2)
  })
})
