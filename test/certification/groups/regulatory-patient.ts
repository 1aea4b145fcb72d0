import { sampleCcda } from '../../../src/demo/documents.js'
import { until } from '../../fixtures/process.js'
import type { Look } from '../finding.js'
import { opened } from '../world/cms.js'
import { type Notes, notes } from './notes.js'
import {
  arrived,
  condition,
  digestOf,
  doctor,
  handedOver,
  letterTo,
  plainOf,
  put,
  type RegulatoryWorld,
} from './regulatory-world.js'

/** 45 CFR 170.315(e)(1): a patient views, downloads and transmits, all of it or by date and kind, and reads who did what. */
export async function patientCase(world: RegulatoryWorld): Promise<Look> {
  const heard = notes()
  const { client, record } = world.patient
  const since = Date.now() - 1000
  await put(
    world,
    client,
    condition('Sprained ankle', '2021-03-04'),
    condition('Seasonal cough', '2025-02-03'),
    peanuts,
  )
  await view(world, heard)
  await download(world, heard)
  await byDirect(world, heard)
  await byMail(world, heard)
  const until = Number(Date.parse((await client.must(200, 'GET', '/livez')).headers.date ?? '')) + 1000
  await history(world, heard, { since, until, record })
  return heard.look()
}

const peanuts = { content: { type: 'allergy', substance: { codings: [], text: 'Peanuts' }, reactions: [] } }

/** Items, and the document of a clinic as a page that people read. */
async function view(world: RegulatoryWorld, heard: Notes): Promise<void> {
  const { patient, address } = world
  const base = `/api/v1/records/${patient.record}`
  heard.hear(
    'a letter with a summary',
    await handedOver(world, address, await letterTo(world, address, 'summary', { attached: true })),
    /^250 /,
  )
  await arrived(world, address, 'summary')
  const items = (await patient.client.must(200, 'GET', `${base}/items?limit=200`)).bytes.toString()
  heard.hear('what is viewed', items, /Sprained ankle[\s\S]*|Seasonal cough/)
  for (const one of ['Sprained ankle', 'Seasonal cough', 'Peanuts'])
    if (!items.includes(one)) heard.wrong.push(`${one} is not viewed`)
  const page = await patient.client.ask('GET', `${base}/documents/${digestOf(sampleCcda())}/view`)
  heard.hear('a document as a page', `${page.status} ${page.headers['content-type']}`, /^200 text\/html/)
  if (!/<h[12]/i.test(page.bytes.toString())) heard.wrong.push('the page of a document has no headings')
}

/** The whole, one kind, a span of days, and one entry: each has what it is asked for and nothing else of ours. */
async function download({ patient: { client, record } }: RegulatoryWorld, heard: Notes): Promise<void> {
  const texts = ['Sprained ankle', 'Seasonal cough', 'Peanuts'] as const
  const choices: readonly (readonly [string, readonly string[]])[] = [
    ['', texts],
    ['&type=problem', ['Sprained ankle', 'Seasonal cough']],
    ['&type=allergy', ['Peanuts']],
    ['&type=problem&from=2025-01-01', ['Seasonal cough']],
    ['&type=problem&to=2021-12-31', ['Sprained ankle']],
    ['&type=problem&from=2021-03-04&to=2021-03-04', ['Sprained ankle']],
  ]
  for (const [query, wanted] of choices) {
    const answer = await client.ask('GET', `/api/v1/records/${record}/export?format=ccd${query}`)
    const text = answer.bytes.toString()
    heard.hear(`download${query}`, `${answer.status} ${text.slice(0, 400)}`, /^200 <\?xml[\s\S]*<ClinicalDocument/)
    heard.hear(`download${query} is kept`, String(answer.headers['content-disposition']), /^attachment/)
    for (const one of texts)
      if (text.includes(one) !== wanted.includes(one))
        heard.wrong.push(`download${query} ${text.includes(one) ? 'has' : 'lacks'} ${one}`)
  }
}

/** To a Direct address: opened by OpenSSL on the far side. To one that nobody trusts: refused, and nothing leaves. */
async function byDirect(world: RegulatoryWorld, heard: Notes): Promise<void> {
  const { patient, far, openssl, seals, authorities, address } = world
  const path = `/api/v1/records/${patient.record}/transmissions`
  const before = far.caught.length
  const body = { to: doctor, format: 'ccd', types: ['problem'], fromDate: '2025-01-01', note: 'As we said.' }
  const sent = await patient.client.ask('POST', path, { json: body })
  heard.hear('transmission to a Direct address', `${sent.status} ${sent.bytes}`, /^202 /)
  const mail = await until(() => far.caught.slice(before).find(({ from }) => from === address), 20_000)
  const clear = mail.wire.toString('latin1')
  if (/cough|ankle|As we said/i.test(clear)) heard.wrong.push('what was sent stands in the clear')
  const inner = await opened(openssl, mail.wire, seals.far, authorities.ours.certificatePath)
  const entity = inner.kind === 'opened' ? plainOf(Buffer.from(inner.entity, 'latin1')) : inner.detail
  heard.hear('what the clinic opens', entity, /<ClinicalDocument[\s\S]*Seasonal cough/)
  if (/Sprained ankle|Peanuts/.test(entity)) heard.wrong.push('more was sent than was chosen')

  const stranger = await patient.client.ask('POST', path, { json: { ...body, to: 'somebody@nowhere.test' } })
  heard.hear('transmission to somebody without a certificate', String(stranger.status), /^(422|503)$/)
}

/** To ordinary e-mail only where the person said that nothing protects it. */
async function byMail({ patient, relay }: RegulatoryWorld, heard: Notes): Promise<void> {
  const path = `/api/v1/records/${patient.record}/transmissions`
  const email = 'aunt@mail.test'
  const body = { email, format: 'ccd', types: ['allergy'] }
  const unsaid = await patient.client.ask('POST', path, { json: body })
  heard.hear('plain e-mail without a word', `${unsaid.status} ${unsaid.bytes}`, /^400 .*unprotectedAcknowledged/)
  const no = await patient.client.ask('POST', path, { json: { ...body, unprotectedAcknowledged: false } })
  heard.hear('plain e-mail with a no', String(no.status), /^400$/)
  if (relay.caught.some(({ to }) => to.includes(email))) heard.wrong.push('mail left before it was acknowledged')
  const sent = await patient.client.ask('POST', path, { json: { ...body, unprotectedAcknowledged: true } })
  heard.hear('plain e-mail', `${sent.status} ${sent.bytes}`, /^202 /)
  const mail = await until(() => relay.caught.find(({ to }) => to.includes(email)), 20_000)
  heard.hear('what comes by plain e-mail', plainOf(mail.wire), /<ClinicalDocument[\s\S]*Peanuts/)
  if (/Subject:.*(peanut|allerg)/i.test(mail.wire.toString('latin1'))) heard.wrong.push('the subject is clinical')
}

interface Line {
  readonly at: string
  readonly action: string
  readonly outcome: string
  readonly addressee?: string
  readonly person?: { readonly id: string; readonly name?: string }
}

/** Each deed with its time, its user and where it went: as JSON, as a page, and as a file; for nobody else. */
async function history(
  { patient, neighbour }: RegulatoryWorld,
  heard: Notes,
  { since, until: end, record }: { readonly since: number; readonly until: number; readonly record: string },
): Promise<void> {
  const path = `/api/v1/records/${record}/activity`
  const lines = (await patient.client.must(200, 'GET', `${path}?limit=200`)).json<{ entries: readonly Line[] }>()
    .entries
  const owed: readonly (readonly [string, string?])[] = [
    ...[['view'], ['download'], ['create']].map(([one = '']) => [one] as const),
    ['transmit', doctor],
    ['transmit', 'aunt@mail.test'],
  ]
  for (const [action, addressee] of owed) {
    const found = lines.filter(
      (one) =>
        one.action === action && one.outcome === 'success' && (addressee === undefined || one.addressee === addressee),
    )
    const name = `${action}${addressee === undefined ? '' : ` to ${addressee}`}`
    const [line] = found
    if (!line) heard.wrong.push(`the history does not tell of ${name}`)
    if (addressee !== undefined && found.length > 1)
      heard.wrong.push(`the history tells ${found.length} times of ${name}`)
    if (line && line.person?.id !== patient.person) heard.wrong.push(`the history does not say who did ${name}`)
    const at = Date.parse(line?.at ?? '')
    if (line && !(at >= since && at <= end && line.at.endsWith('Z'))) heard.wrong.push(`${name} was at ${line.at}`)
  }
  const page = await patient.client.ask('GET', `/records/${record}/activity`)
  heard.hear('the history as a page', `${page.status} ${page.bytes}`, new RegExp(`^200 [\\s\\S]*Sent: ${doctor}`))
  const file = await patient.client.ask('GET', `${path}/download?format=csv`)
  heard.hear(
    'the history as a file',
    `${file.status} ${file.bytes}`,
    new RegExp(`^200 [\\s\\S]*transmit[\\s\\S]*${doctor}`),
  )
  for (const [who, one] of [
    ['JSON', path],
    ['page', `/records/${record}/activity`],
  ] as const)
    heard.hear(`the history of others as ${who}`, String((await neighbour.client.ask('GET', one)).status), /^404$/)
}
