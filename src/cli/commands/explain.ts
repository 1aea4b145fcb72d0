import type { Command } from 'commander'
import { type DirectAddress, parseAddress } from '../../direct/address.js'
import type { WitnessedCertificate } from '../../direct/verdict.js'
import { printable } from '../../observe/log.js'
import type {
  ExplainedAnchor,
  ExplainedCertificate,
  ExplainedDecision,
  ExplainedPath,
  ExplainedVerdict,
} from '../../pipeline/explain.js'
import { actOnGateway, type Session } from '../command.js'
import { CommandFailed, exitCodes } from '../operator.js'
import { readCertificates } from '../pem.js'

/** `trust explain`: why mail between two addresses would be sent or believed, or not. */
export function explainCommand(program: Command, session: Session): void {
  const trust = program.command('trust').description('decisions about trust')
  actOnGateway<{ readonly from: string; readonly to: readonly string[]; readonly cert?: string }>(
    trust
      .command('explain')
      .description('tell how mail between two addresses is decided, and why; ends with 0 only where it is trusted')
      .requiredOption('--from <address>', 'who sends')
      .requiredOption('--to <address...>', 'who receives')
      .option('--cert <file>', 'certificate that signed, and behind it those that came along; PEM or DER'),
    session,
    async ({ explain }, context, { from, to, cert, json = false }) => {
      const certificates = cert === undefined ? [] : readCertificates(await context.readFile(cert), cert)
      const told = await explain({ from: addressOf(from), to: to.map(addressOf), certificates })
      if (told.kind === 'refused') throw new CommandFailed(told.detail)
      context.print(json ? `${JSON.stringify(told, dated, 2)}\n` : told.decisions.map(wordsOf).join('\n'))
      return told.decisions.every(({ verdict }) => verdict.kind === 'trusted') ? exitCodes.done : exitCodes.refused
    },
  )
}

function addressOf(text: string): DirectAddress {
  const address = parseAddress(text)
  if (!address) throw new CommandFailed(`${text} is no address`, exitCodes.usage)
  return address
}

/** Moments as ISO 8601, for programs. */
function dated(name: string, value: unknown): unknown {
  return typeof value === 'number' && /^(at|notBefore|notAfter)$/.test(name) ? new Date(value).toISOString() : value
}

const marks: Readonly<Record<ExplainedVerdict['kind'], string>> = {
  trusted: 'TRUSTED',
  refused: 'REFUSED',
  undecided: 'UNDECIDED',
  unknown: 'NOT KNOWN',
}

function wordsOf(decision: ExplainedDecision): string {
  const { direction, from, to, verdict, policy, anchors, keys, discovery, certificates } = decision
  const sending = direction === 'sending'
  const us = sending ? from : to
  const reason = 'reason' in verdict ? `: ${verdict.reason}` : 'cause' in verdict ? `: ${verdict.cause}` : ''
  const lines = [
    sending ? `Sending from ${from} to ${to}` : `Receiving at ${to} from ${from}`,
    `  ${marks[verdict.kind]}${reason}${verdict.detail ? ` (${verdict.detail})` : ''}`,
    ...('help' in verdict ? [`  ${verdict.help}`] : []),
    '',
    `  What ${us} demands: revocation ${policy.revocation}${demands(policy)}`,
    ...policy.rules.map(({ name, text }) => `    rule ${name}: ${text}`),
    `  Anchors of ${us} for mail that ${sending ? 'goes out' : 'comes in'}: ${anchors}`,
  ]
  lines.push('', `  Keys of ${us} that may ${sending ? 'sign' : 'decrypt'}:${keys.length === 0 ? ' none' : ''}`)
  for (const { id, owner, subject, excluded } of keys)
    lines.push(`    ${short(id)}  ${subject}, of ${owner}${excluded ? `; kept back: ${excluded}` : ''}`)
  const whose = sending ? to : from
  if (discovery.length > 0) lines.push('', `  Where certificates of ${whose} were looked for:`)
  for (const { source, place, outcome, detail } of discovery)
    lines.push(`    ${outcome.padEnd(11)}  ${source}: ${place}${detail ? ` (${detail})` : ''}`)
  if (certificates.length > 0) lines.push('', `  Certificates of ${whose}:`)
  return printed([...lines, ...certificates.flatMap((one) => certificateLines(one, whose))])
}

function demands(policy: ExplainedDecision['policy']): string {
  const { allowSha1, requirePublishedRevocation, requireEmailProtection, requiredPolicies } = policy
  return [
    ...(requirePublishedRevocation ? [', published for every certificate'] : []),
    ...(requireEmailProtection ? [', keys for e-mail'] : []),
    ...(allowSha1 ? [', SHA-1 is allowed'] : []),
    ...(requiredPolicies.length > 0 ? [`, one of the policies ${requiredPolicies.join(' ')}`] : []),
  ].join('')
}

function certificateLines(certificate: ExplainedCertificate, whose: string): string[] {
  const { fingerprint, subject, issuer, serial, notBefore, notAfter, binding } = certificate
  const { outcome, detail, help, paths, issuers, searchEnded } = certificate
  const names = { address: `names ${whose}`, domain: `names the domain of ${whose}`, none: `does not name ${whose}` }
  return [
    `    ${subject}`,
    `      SHA-256 ${fingerprint}`,
    ...(issuer === undefined ? [] : [`      serial ${serial}, issued by ${issuer}`]),
    ...(notBefore === undefined || notAfter === undefined ? [] : [`      valid ${day(notBefore)} to ${day(notAfter)}`]),
    ...(issuer === undefined ? [] : [`      ${names[binding ?? 'none']}`]),
    ...paths.flatMap(pathLines),
    ...issuers.map(
      ({ fingerprint: of, found, detail: why }) =>
        `      asked for issuers of ${short(of)}: ${why || (found === 1 ? 'found 1' : `found ${found}`)}`,
    ),
    ...(searchEnded && outcome !== searchEnded.reason ? [`      no other path: ${searchEnded.detail}`] : []),
    `      => ${outcome}${detail ? ` (${detail})` : ''}`,
    ...(help ? [`         ${help}`] : []),
  ]
}

function pathLines({ certificates, anchor, remembered, flaw, revocation }: ExplainedPath, index: number): string[] {
  const verdict = flaw ? `${flaw.reason} (${flaw.detail})` : 'valid'
  return [
    `      path ${index + 1}: ${verdict}${remembered ? ', as found before' : ''}`,
    ...certificates.map((one, i) => `        ${stepWords(one, i === certificates.length - 1 ? anchor : undefined)}`),
    ...revocation.map(({ fingerprint, answer, detail, sources }) => {
      const asked = certificates.find((one) => one.fingerprint === fingerprint)?.subject ?? short(fingerprint)
      const by = sources.length > 0 ? `, by ${sources.join(' and ')}` : ''
      return `        revocation of ${asked}: ${answer}${detail ? ` (${detail})` : ''}${by}`
    }),
  ]
}

function stepWords({ subject, fingerprint, notAfter }: WitnessedCertificate, anchor?: ExplainedAnchor): string {
  const words =
    anchor && (anchor.bundle === undefined ? `anchor of ${anchor.owner}` : `anchor of bundle ${anchor.bundle}`)
  return `${subject}  ${short(fingerprint)}, until ${day(notAfter)}${words ? `; ${words}, ${anchor.direction}` : ''}`
}

const short = (fingerprint: string) => fingerprint.slice(0, 16)

/** A day; a moment that no calendar has is told as it is. */
function day(at: number): string {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? String(at) : date.toISOString().slice(0, 10)
}

/** Names in certificates are a stranger's words: nothing in them may move the cursor or hide what follows. */
function printed(lines: readonly string[]): string {
  return lines.map((line) => `${printable(line).trimEnd()}\n`).join('')
}
