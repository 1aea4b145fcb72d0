/** Runs NIST's path validation suite over the build: `npm run pkits`. Exits 1 for any deviation without a reason. */
import process from 'node:process'
import * as judge from '../../dist/trust/judge.js'
import { listStatus } from '../../dist/trust/lists.js'
import * as path from '../../dist/trust/path.js'
import { defaultTrustPolicy } from '../../dist/trust/policy.js'
import * as certificate from '../../dist/x509/certificate.js'
import * as crl from '../../dist/x509/crl.js'
import * as name from '../../dist/x509/name.js'
import { accepted, findPkits, judgePkits, readPkits, seeded } from './pkits.mjs'

const engine = {
  ...{ readCertificate: certificate.readCertificate, readCrl: crl.readCrl, entryOf: crl.entryOf },
  ...{ sameName: name.sameName, comparableName: name.comparableName, readCertificates: judge.readCertificates },
  ...{ anchorSet: path.anchorSet, newPathBudget: path.newPathBudget, defaultTrustPolicy },
  ...{ judge: judge.judgeCertificate, status: listStatus },
}

const say = (line) => process.stdout.write(`${line}\n`)
const found = findPkits()
if (found.missing) {
  say(`SKIPPED: ${found.missing}\npkits: skipped`)
  process.exit(0)
}
const suite = readPkits(found.folder)
let total = 0
let passed = 0
let failed = false
for (const mode of ['listed', 'pool']) {
  const started = process.hrtime.bigint()
  const { categories, deviations } = await judgePkits(suite, engine, mode)
  const ms = Number(process.hrtime.bigint() - started) / 1e6
  say(`\n${mode === 'pool' ? 'every authority and list at hand' : 'exactly the files listed'}, ${ms.toFixed(0)} ms`)
  say(
    `${'category'.padEnd(44)}${'n'.padStart(5)}${'passed'.padStart(8)}${'false accept'.padStart(14)}${'false reject'.padStart(14)}`,
  )
  for (const [category, { runs, passed: ok, falseAccepts, falseRejects }] of categories) {
    say(
      `${category.padEnd(44)}${String(runs).padStart(5)}${String(ok).padStart(8)}${String(falseAccepts).padStart(14)}${String(falseRejects).padStart(14)}`,
    )
    total += runs
    passed += ok
  }
  for (const { id, name, settings, words } of deviations) {
    const reason = accepted[mode][id]
    failed ||= !reason
    say(
      `${reason ? 'accepted' : 'DEVIATION'} ${name} ${JSON.stringify(settings)}: ${words}${reason ? ` (${reason})` : ''}`,
    )
    if (reason) passed++
  }
}
say('')
for (const [bug, broken] of Object.entries(seeded(engine))) {
  const { deviations } = await judgePkits(suite, broken, 'listed')
  failed ||= deviations.length === 0
  say(`an engine that ${bug}: ${deviations.length > 0 ? `caught by ${deviations.length} runs` : 'NOT CAUGHT'}`)
}
say(`pkits: ${passed}/${total}`)
process.exit(failed ? 1 : 0)
