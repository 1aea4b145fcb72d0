import { createHash } from 'node:crypto'
import { type SamplePatient, samplePatient } from '../documents/patient.js'
import { sampleCcda } from '../documents.js'
import { backendToken, call, mustCall } from './application.js'
import { newRecord, settle } from './person.js'
import { must, type Step } from './steps.js'
import type { World } from './world.js'

/** Whom the package is about: the record of the patient here has the same name and day. */
const child: SamplePatient = { ...samplePatient, given: 'Cleo', family: 'Sample', birthDate: '2012-12-12' }

interface Standing {
  readonly id: string
  readonly receivedBytes: number
  readonly completed: boolean
}

interface LeftPackage {
  readonly id: string
  readonly state: string
  readonly endedAt?: string
}

/** A clinic leaves documents under a code; the patient picks them up, once, and the clinic gets a receipt. */
export async function dropOffJourney(world: World, step: Step): Promise<void> {
  const { origin, clinic } = world
  const base = `${origin}/api/v1/drop-off`
  const [question, answer] = ['Which street did you live in as a child?', 'Elm Court 12']
  const file = sampleCcda(child)
  const who = { email: 'cleo.carer@mail.example', name: 'Cleo Sample', birthDate: child.birthDate }
  const { browser, records } = await settle(world, who, 'Eczema')
  const [record = ''] = records

  const token = await step('The clinic asks the patient, face to face, for a question and its answer', async () =>
    backendToken(origin, clinic.id, clinic.key, 'drop-off'),
  )
  const { code } = await step(
    "The clinic's application gets the code before there is anything behind it",
    async (note) => {
      const made = await mustCall<{ code: string }>(`${base}/packages/allocate`, token, { method: 'POST' })
      note(`code: ${made.code}`)
      return made
    },
  )
  const upload = await step(
    'It uploads a visit summary in two pieces, cut off in between, and says its digest',
    async (note) => {
      const begun = await mustCall<Standing>(`${base}/uploads`, token, {
        method: 'POST',
        body: { sizeBytes: file.length },
      })
      const half = Math.floor(file.length / 2)
      const put = (from: number, to: number) =>
        mustCall<Standing>(`${base}/uploads/${begun.id}`, token, {
          ...{ method: 'PUT', body: file.subarray(from, to) },
          headers: { 'content-range': `bytes ${from}-${to - 1}/${file.length}` },
        })
      await put(0, half)
      const { receivedBytes } = await mustCall<Standing>(`${base}/uploads/${begun.id}`, token)
      must(receivedBytes === half, `after the first piece the gateway has ${receivedBytes} bytes`)
      await put(receivedBytes, file.length)
      const value = createHash('sha256').update(file).digest('hex')
      const body = { method: 'sha256', value }
      const { completed } = await mustCall<Standing>(`${base}/uploads/${begun.id}/complete`, token, {
        method: 'POST',
        body,
      })
      must(completed, 'the upload is not complete')
      note(`${file.length} bytes of C-CDA`)
      return begun.id
    },
  )
  const left = await step(
    'It leaves the package under the code: the answer makes its key, and is not kept',
    async () => {
      const files = [{ upload, name: 'summary.xml', mediaType: 'text/xml' }]
      const body = {
        ...{ code, friendlyName: 'Cleo Sample', question, externalId: 'patient-4712', birthDate: child.birthDate },
        content: { kind: 'open', answer, items: [{ content: problem('Sprained ankle') }], files },
      }
      const { package: made } = await mustCall<{ package: LeftPackage }>(`${base}/packages`, token, {
        method: 'POST',
        body,
      })
      must(made.state === 'pending', `the package is ${made.state}`)
      return made
    },
  )
  await step('The patient enters the code, reads the question, and answers it', async (note) => {
    const opened = await browser.call('POST', '/api/v1/pickup/open', { code })
    must((opened.json as { question?: string })?.question === question, `opening: ${JSON.stringify(opened.json)}`)
    const wrong = await browser.call('POST', '/api/v1/pickup/answer', { code, answer: 'Oak Lane 3' })
    must(wrong.status === 422 || wrong.status === 403, `a wrong answer was answered ${wrong.status}`)
    note('a wrong answer opens nothing, and takes one of three tries')
  })
  const ticket = await step('The right answer opens the package for half an hour, in this session alone', async () => {
    const right = await browser.call('POST', '/api/v1/pickup/answer', { code, answer: ` ${answer.toLowerCase()} ` })
    must(right.status === 200, `the answer: ${right.status} ${JSON.stringify(right.json)}`)
    return (right.json as { ticket: string }).ticket
  })
  await step('The patient looks at what is inside, before anything is taken in', async (note) => {
    const looked = await browser.call('POST', '/api/v1/pickup/package/review', { ticket, record })
    must(looked.status === 200, `looking: ${looked.status} ${JSON.stringify(looked.json)}`)
    const { things, match } = looked.json as { things: readonly { kind: string }[]; match?: { kind: string } }
    must(
      things.length === 2 && match !== undefined && match.kind !== 'mismatch',
      `inside: ${JSON.stringify(looked.json)}`,
    )
    note('a condition and a visit summary; nothing speaks against this record: the day of birth agrees')
  })
  await step('The record of a brother is refused: the package seems to be of somebody else', async () => {
    const brother = await newRecord(browser, 'Carl Sample', '2016-01-02', 'parent')
    const claimed = await browser.call('POST', '/api/v1/pickup/package/claim', { ticket, record: brother })
    must(claimed.status === 409, `it was answered ${claimed.status} ${JSON.stringify(claimed.json)}`)
  })
  await step('The patient takes the package into the right record', async (note) => {
    const claimed = await browser.call('POST', '/api/v1/pickup/package/claim', { ticket, record })
    must(claimed.status === 200, `taking: ${claimed.status} ${JSON.stringify(claimed.json)}`)
    const { things, items } = claimed.json as { things: number; items: number }
    must(things === 2 && items > 0, `taken: ${JSON.stringify(claimed.json)}`)
    note(`${items} items, those of the summary proposed`)
  })
  await step('The clinic finds the receipt', async (note) => {
    const { state, endedAt } = await mustCall<LeftPackage>(`${base}/packages/${left.id}`, token)
    must(state === 'claimed' && endedAt !== undefined, `the package is ${state}`)
    note(`claimed at ${endedAt}`)
  })
  await step('Nobody takes it twice: the code opens nothing any more, and the ticket is over', async () => {
    const again = await browser.call('POST', '/api/v1/pickup/package/claim', { ticket, record })
    must(again.status === 404, `the ticket was answered ${again.status}`)
    const opened = await browser.call('POST', '/api/v1/pickup/answer', { code, answer })
    must(opened.status === 404, `the code was answered ${opened.status}`)
    const body = { code, friendlyName: 'x', question, externalId: 'y', content: { kind: 'open', answer, items: [] } }
    const refilled = await call(`${base}/packages`, token, { method: 'POST', body })
    must(refilled.status >= 400, `filling it again was answered ${refilled.status}`)
  })
}

const problem = (text: string) => ({ type: 'problem', problem: { codings: [], text } })
