import { describe, expect, it } from 'vitest'
import { judgeCertificate, readCertificates } from '../../src/trust/judge.js'
import { listStatus } from '../../src/trust/lists.js'
import { anchorSet, newPathBudget } from '../../src/trust/path.js'
import { defaultTrustPolicy } from '../../src/trust/policy.js'
import { readCertificate } from '../../src/x509/certificate.js'
import { entryOf, readCrl } from '../../src/x509/crl.js'
import { comparableName, sameName } from '../../src/x509/name.js'
import { accepted, findPkits, judgePkits, readPkits, seeded } from '../pkits/pkits.mjs'

const engine = {
  ...{ readCertificate, readCrl, entryOf, sameName, comparableName, readCertificates, anchorSet, newPathBudget },
  ...{ defaultTrustPolicy, judge: judgeCertificate, status: listStatus },
}
const found = findPkits()

describe.skipIf(found.missing)(`NIST PKITS${found.missing ? `, skipped: ${found.missing}` : ''}`, () => {
  const suite = found.folder ? readPkits(found.folder) : undefined

  it.each(['listed', 'pool'] as const)('is judged as NIST says, with the files %s', async (mode) => {
    const { deviations, categories } = await judgePkits(suite, engine, mode)
    expect([...categories.values()].reduce((all, { runs }) => all + runs, 0)).toBe(249)
    expect(deviations.filter(({ id }) => !accepted[mode][id])).toEqual([])
    // A reason that is no longer needed is taken out.
    expect(deviations.map(({ id }) => id).sort()).toEqual(Object.keys(accepted[mode]).sort())
  })

  it.each(Object.entries(seeded(engine)))('catches an engine that %s', async (_, broken) => {
    const { deviations } = await judgePkits(suite, broken, 'listed')
    expect(deviations.length).toBeGreaterThan(3)
  })
})
