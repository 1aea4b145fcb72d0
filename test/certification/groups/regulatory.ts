import { broken, complete, type Finding, type Look, type RunGroup, told, wants } from '../finding.js'
import { accessCase } from './regulatory-access.js'
import { auditCase, tamperCase } from './regulatory-audit.js'
import { integrityCase } from './regulatory-integrity.js'
import { patientCase } from './regulatory-patient.js'
import { reportCase } from './regulatory-report.js'
import { sessionCase } from './regulatory-session.js'
import { transportCase } from './regulatory-transport.js'
import { openRegulatory, type RegulatoryWorld } from './regulatory-world.js'

type Case = (world: RegulatoryWorld) => Promise<Look>

/** In this order: the clock goes ahead in the session's, and the last two leave the gateway without a disk, and end it. */
const beside: Readonly<Record<string, Case>> = { 'REG-d9': transportCase }
const inTurn: Readonly<Record<string, Case>> = {
  'REG-d1': accessCase,
  'REG-d3': reportCase,
  'REG-e1': patientCase,
  'REG-d8': integrityCase,
  'REG-d5': sessionCase,
  'REG-d2': auditCase,
  'REG-d2v': tamperCase,
}

/** Runs the group: what the regulation asks of a whole installation (45 CFR 170.315). */
export const regulatory: RunGroup = async (measure) => {
  const closers: (() => Promise<unknown>)[] = []
  try {
    const world = await openRegulatory(measure, closers)
    const run = async ([id, look]: [string, Case]): Promise<readonly Finding[]> => {
      if (!wants(measure, id)) return []
      measure.tell(`regulatory: ${id}`)
      return [await look(world).then(told(id), broken(id))]
    }
    const aside = Promise.all(Object.entries(beside).map(run))
    const found: Finding[] = []
    for (const one of Object.entries(inTurn)) found.push(...(await run(one)))
    return complete('regulatory', measure, [...found, ...(await aside).flat()])
  } finally {
    for (const close of closers.reverse()) await close()
  }
}
