import { join } from 'node:path'
import { cases } from '../cases.js'
import { complete, type Finding, type Measure, wants } from '../finding.js'
import { startNameServer } from '../world/dns.js'
import { startGateway } from '../world/gateway.js'
import { startWeb, type WebServer } from '../world/http.js'
import { atMost, type OpenSsl, openSsl } from '../world/openssl.js'
import { type Authority, openPki, type Party, type Pki } from '../world/pki.js'
import { startBind } from '../world/programs.js'
import { startSink } from '../world/sink.js'
import { mailDomain } from '../world/zone.js'
import { drafts, lenientDomain } from './drafts.js'
import { exchanged, faultsOf, type Outcome, same, wordsOf } from './exchange.js'
import { compose, type Letter, ourAddress, ourDomain, theirDomain } from './letters.js'

/** What may come to us from other gateways, good and bad, and what we answer. */
export interface Clinic {
  readonly openssl: OpenSsl
  readonly web: WebServer
  /** Trusted by our domains. */
  readonly authority: Authority
  /** Its bytes stand where nothing does: see the drafts. */
  readonly hidden: Authority
  readonly stranger: Authority
  /** Another authority that nobody trusts. */
  makeRoot(name: string): Promise<Authority>
  /** Of the whole domain of the sender. */
  readonly sender: Party
}

/** Runs the group: everything is sent, everything expected awaited, and after a quiet time each letter judged. */
export async function receiving(measure: Measure): Promise<readonly Finding[]> {
  const openssl = openSsl(join(measure.home, 'openssl'))
  const web = await startWeb()
  const sink = await startSink()
  const zone = [...mailDomain(theirDomain), ...mailDomain(`sub.${theirDomain}`), ...mailDomain('elsewhere.test')]
  const names =
    measure.peers === 'programs' ? await startBind(join(measure.home, 'bind'), zone) : await startNameServer(zone)
  const closers: (() => Promise<unknown>)[] = [web.close, sink.close, names.close]
  try {
    const pki = openPki(openssl)
    const clinic = await newClinic(openssl, pki, web)
    const ours = await pki.root('Patients Root')
    const key = await ours.issue('Patients', { subjectAltName: `DNS:${ourDomain}` })
    const lenientKey = await ours.issue('Lenient', { subjectAltName: `DNS:${lenientDomain}` })
    measure.tell('receiving: letters are written')
    const wanted = cases.filter(({ group, id }) => group === 'receiving' && wants(measure, id))
    const letters = await lettersOf(clinic, { key, lenientKey }, new Set(wanted.map(({ id }) => id)))

    const gateway = await startGateway(
      join(measure.home, 'gateway'),
      {
        domains: { [ourDomain]: [ourAddress], [lenientDomain]: [`pat.sample@${lenientDomain}`] },
        keys: [
          { owner: ourDomain, party: key },
          { owner: lenientDomain, party: lenientKey },
        ],
        anchors: [ourDomain, lenientDomain].map((owner) => ({ owner, party: clinic.authority })),
        commands: [
          ['domain', 'set', ourDomain, '--revocation', 'hard', '--require-published-revocation', 'yes'],
          ['domain', 'set', lenientDomain, '--allow-sha1', 'yes', '--revocation', 'soft'],
        ],
      },
      { namePort: names.port, sinkPort: sink.port, ...(measure.program !== undefined && { program: measure.program }) },
    )
    closers.push(gateway.close)
    const outcomes = await exchanged(measure, letters, gateway, sink, { openssl, authority: ours })
    const unexpected = sink.caught.filter(({ to }) => !letters.some(({ from }) => to.some((one) => same(one, from))))
    if (unexpected.length > 0)
      throw new Error(`mail that nobody asked for: ${unexpected.map(({ to }) => to).join(' ')}`)
    return complete('receiving', measure, findingsOf(letters, outcomes, web))
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function newClinic(openssl: OpenSsl, pki: Pki, web: WebServer): Promise<Clinic> {
  const places = (name: string) => ({ crl: `${web.url}/${name}.crl`, aia: `${web.url}/${name}.cer` })
  const authority = await pki.root('Clinic Root', places('clinic'))
  const hidden = await authority.subordinate('Hidden Issuing Authority', places('hidden'))
  // A short name and a long one: signer infos are a set, and DER puts the shorter first.
  const stranger = await pki.root('No', places('stranger'))
  const sender = await authority.issue('Clinic', { subjectAltName: `DNS:${theirDomain}` })
  const publish = (path: string, type: string, bytes: () => Buffer | Promise<Buffer>) =>
    web.places.set(path, { kind: 'bytes', type, bytes })
  publish('/clinic.crl', 'application/pkix-crl', () => authority.list())
  publish('/clinic.cer', 'application/pkix-cert', () => authority.certificate)
  publish('/hidden.crl', 'application/pkix-crl', () => hidden.list())
  publish('/stranger.crl', 'application/pkix-crl', () => stranger.list())
  publish('/stranger.cer', 'application/pkix-cert', () => stranger.certificate)
  publish('/page.cer', 'text/html', () => Buffer.from('<html><body>Not found</body></html>'))
  web.places.set('/hanging.cer', { kind: 'hangs' })
  return { openssl, web, authority, hidden, stranger, sender, makeRoot: (name) => pki.root(name) }
}

async function lettersOf(
  clinic: Clinic,
  { key, lenientKey }: { readonly key: Party; readonly lenientKey: Party },
  wanted: ReadonlySet<string>,
): Promise<readonly Letter[]> {
  const several = atMost(3)
  const all = await Promise.all(
    [...wanted].map(async (caseId) => {
      const made = await (drafts[caseId]?.(clinic, caseId) ?? [])
      return Promise.all(
        made.map((draft) => {
          const recipient = draft.to?.endsWith(`@${lenientDomain}`) ? lenientKey : key
          return several(() => compose(clinic.openssl, recipient, caseId, draft))
        }),
      )
    }),
  )
  return all.flat()
}

function findingsOf(
  letters: readonly Letter[],
  outcomes: ReadonlyMap<Letter, Outcome>,
  web: WebServer,
): readonly Finding[] {
  const byCase = new Map<string, Letter[]>()
  for (const letter of letters) byCase.set(letter.caseId, [...(byCase.get(letter.caseId) ?? []), letter])
  return [...byCase].map(([id, own]) => {
    const judged = own.map((letter) => {
      const outcome = outcomes.get(letter)
      const faults = outcome ? faultsOf(letter, outcome) : ['was not sent']
      const label = letter.about === '' ? '' : `${letter.about}: `
      return {
        faults,
        words: `${label}${[...(outcome ? [wordsOf(outcome)] : []), ...faults.map((one) => `!! ${one}`)].join(', ')}`,
      }
    })
    // The suite sees that the list was asked for.
    const asked = id !== 'RCV-DT-ExceptionPathRevokedCert' || web.asked.includes('/clinic.crl')
    const passed = asked && judged.every(({ faults }) => faults.length === 0)
    return {
      id,
      passed,
      seen: `${judged.map(({ words }) => words).join('; ')}${asked ? '' : '; !! no list was fetched'}`,
    }
  })
}
