import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { cases, type Group, groups } from './cases.js'
import { complete, type Finding, lineOf, type Measure, type RunGroup, score } from './finding.js'
import { bundles } from './groups/bundles.js'
import { discovery } from './groups/discovery.js'
import { hosting } from './groups/hosting.js'
import { imapPop } from './groups/imap-pop.js'
import { mdn } from './groups/mdn.js'
import { receiving } from './groups/receiving.js'
import { regulatory } from './groups/regulatory.js'
import { sending } from './groups/sending.js'
import { smtp } from './groups/smtp.js'
import { tracking } from './groups/tracking.js'
import { xdm } from './groups/xdm.js'
import { prove } from './prove.js'
import { atMost } from './world/openssl.js'

const runs: Readonly<Record<Group, RunGroup>> = {
  discovery,
  hosting,
  bundles,
  receiving,
  sending,
  mdn,
  tracking,
  smtp,
  'imap-pop': imapPop,
  xdm,
  regulatory,
}

const usage = `npm run certification -- [--group NAME,...] [--case ID,...] [--own] [--program MAIN.JS] [--quiet-seconds N] [--prove] [--verbose]
  --group          ${groups.join(', ')}; all by default
  --case           only these cases
  --own            name and directory servers of our own in place of BIND and OpenLDAP: faster
  --program        another built gateway than dist/main.js
  --prove          runs some cases against copies with a planted bug, which they must see
  --quiet-seconds  how long nothing more may come before "nothing came" is believed (default 5)
`

/** Runs one group; a group that broke has proved nothing. */
export async function runGroup(group: Group, measure: Measure): Promise<readonly Finding[]> {
  const home = join(measure.home, group)
  mkdirSync(home, { recursive: true })
  const own = { ...measure, home }
  try {
    return complete(group, own, await runs[group](own))
  } catch (error) {
    const words =
      error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 4).join(' ') : String(error)
    return complete(group, own, []).map(({ id }) => ({ id, passed: false, seen: `the harness broke: ${words}` }))
  }
}

/** Runs what the words ask for, one line a case on stdout; answers the exit code. */
export async function main(words: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...words],
    options: {
      group: { type: 'string' },
      case: { type: 'string' },
      own: { type: 'boolean', default: false },
      program: { type: 'string' },
      'quiet-seconds': { type: 'string', default: '5' },
      prove: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const only = values.case === undefined ? undefined : new Set(values.case.split(','))
  const named = values.group?.split(',')
  const wanted = groups.filter(
    (group) =>
      (named?.includes(group) ?? true) && (!only || cases.some((one) => one.group === group && only.has(one.id))),
  )
  const quietMs = Number(values['quiet-seconds']) * 1000
  const unknown = [
    ...(named ?? []).filter((name) => !groups.some((group) => group === name)),
    ...[...(only ?? [])].filter((id) => !cases.some((one) => one.id === id)),
  ]
  if (values.help || !(quietMs >= 0) || unknown.length > 0 || wanted.length === 0) {
    process.stderr.write(unknown.length > 0 ? `nothing is called ${unknown.join(', ')}\n${usage}` : usage)
    return values.help ? 0 : 2
  }
  const home = mkdtempSync(join(tmpdir(), 'gateway-certification-'))
  process.once('exit', () => rmSync(home, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  const tell = (line: string) => void (values.verbose && process.stderr.write(`${line}\n`))
  if (values.prove) {
    const print = (line: string) => void process.stdout.write(`${line}\n`)
    return (await prove({ home, quietMs, peers: 'own', tell }, wanted, runGroup, print)) ? 0 : 1
  }
  const findings: Finding[] = []
  // Most of it is waiting; two at a time keep two cores busy, and the lines come in their order.
  const several = atMost(2)
  const peers = values.own ? 'own' : 'programs'
  const program = values.program === undefined ? {} : { program: resolve(values.program) }
  const measure = { home, quietMs, peers, tell, ...program, ...(only && { only }) } as const
  for (const found of wanted.map((group) => several(() => runGroup(group, measure))))
    for (const finding of await found) {
      process.stdout.write(`${lineOf(finding)}\n`)
      findings.push(finding)
    }
  const { words: summary, good } = score(findings)
  process.stdout.write(`${summary}\n`)
  return good ? 0 : 1
}
