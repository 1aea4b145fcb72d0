import { describe, expect, it } from 'vitest'
import { compiledRule } from '../../src/trust/rules/rule.js'
import { makeAuthority, makeLeaf } from '../fixtures/pki.js'
import { decide, portsOf } from './world.js'

const root = makeAuthority()
const signer = makeLeaf(root, { san: { dns: ['hisp.test'] }, keyType: 'p256', keyUsage: ['digitalSignature'] })
const ports = portsOf({ anchors: [root] })
const judged = (...texts: readonly string[]) =>
  decide([signer], ports, { policy: { rules: texts.map((text, i) => compiledRule({ name: `rule-${i}`, text })) } })

describe('a rule in the judgement of a signer', () => {
  it('lets a certificate pass for which it holds', async () => {
    expect(await judged('keyUsage has digitalSignature', 'version = 3')).toMatchObject({ kind: 'trusted' })
  })

  it('refuses one for which it does not hold, named in the finding', async () => {
    expect(await judged('version = 3', 'subjectPublicKeyInfo.size >= 2048')).toMatchObject({
      kind: 'refused',
      reason: 'certificate-policy',
      candidates: [
        {
          outcome: 'certificate-policy',
          detail: expect.stringContaining('rule rule-1: does not hold: subjectPublicKeyInfo.size >= 2048'),
        },
      ],
    })
  })

  it('refuses one for which it cannot be evaluated, and every one where it cannot be read', async () => {
    expect(await judged('basicConstraints.pathLenConstraint = 0')).toMatchObject({ reason: 'certificate-policy' })
    expect(await judged('colour = 3')).toMatchObject({
      reason: 'certificate-policy',
      detail: expect.stringContaining('rule rule-0: cannot be evaluated: the rule: line 1, column 1'),
    })
  })

  it('is asked though the path is remembered from when there was none', async () => {
    expect(await judged()).toMatchObject({ kind: 'trusted' })
    expect(await judged('version = 1')).toMatchObject({ reason: 'certificate-policy' })
    expect(await judged()).toMatchObject({ kind: 'trusted' })
  })

  it('does not concern authorities', async () => {
    expect(await judged('not basicConstraints.cA')).toMatchObject({ kind: 'trusted' })
  })
})
