import { backendToken, call, mustCall } from './application.js'
import type { Browser } from './browser.js'
import { newRecord, settle } from './person.js'
import { eventually, must, type Step } from './steps.js'
import type { World } from './world.js'

interface NewCode {
  readonly request: { readonly id: string; readonly state: string }
  readonly code: string
  readonly url: string
}

interface Polled {
  readonly authorized: readonly {
    readonly externalId: string
    readonly record: string
    readonly stands: boolean
  }[]
  readonly pollFrom: string
}

/** A clinic without a page of its own reaches a patient by a code and a secret answer. */
export async function patientConnectJourney(world: World, step: Step): Promise<void> {
  const { origin, clinic, letters } = world
  const email = 'pat.parent@mail.example'
  const base = `${origin}/api/v1/connect`
  const question = 'What is the name of our first dog?'
  const externalId = 'patient-4711'
  const condition = 'Asthma'
  const parent = await settle(world, { email, name: 'Ada', birthDate: '2015-04-01' }, condition)
  const { browser } = parent

  await step(
    'The clinic asks the patient, face to face, for a question that only the patient can answer',
    async (note) => note(`question: “${question}”`),
  )
  const token = await step("The clinic's application comes with a key of its own (SMART Backend Services)", () =>
    backendToken(origin, clinic.id, clinic.key, 'connect system/Condition.rs'),
  )
  const { code, url, request } = await step(
    "The clinic's application creates a request, and gets a pickup code",
    async (note) => {
      const body = {
        friendlyName: 'Ada S.',
        question,
        answer: 'Sir Barks-a-lot',
        externalId,
        email,
        birthDate: '2015-04-01',
      }
      const made = await mustCall<NewCode>(`${base}/requests`, token, { method: 'POST', body })
      must(/^([A-Z]{4}-){4}[A-Z]{4}$/.test(made.code), `the code is no code: ${made.code}`)
      note(`code: ${made.code}, shown this once`)
      const second = await call(`${base}/requests`, token, { method: 'POST', body })
      must(second.status === 409, `a second request for the same patient was answered ${second.status}`)
      return made
    },
  )
  await step('A letter brings the code to the patient: neither question nor answer is in it', async (note) => {
    const letter = await letters.next(email)
    must(letter.text.includes(code), 'the code is not in the letter')
    must(!/dog|barks/i.test(letter.wire), 'the letter tells the question or the answer')
    note(`letter: “${letter.subject}”`)
  })
  const nobody = await step('The application polls: nobody came yet', async () => {
    const page = await poll(world, token)
    must(mine(page, externalId).length === 0, 'somebody came before the patient did')
    return page
  })
  await step('The patient follows the link and enters the code; the page shows the question', async (note) => {
    await enter(browser, url, question)
    await browser.press('Answer', { answer: 'Bella' })
    must(browser.status === 422 && /tries are left/.test(browser.text), `a wrong answer: ${browser.text}`)
    note('a wrong answer takes one of three tries')
  })
  await step('The patient gives the answer, as people type: case and spaces do not matter', async () => {
    await browser.press('Answer', { answer: '  sir  barks-a-LOT ' })
    must(browser.text.includes('Whose record?'), `the answer led to ${browser.at}: ${browser.text}`)
  })
  await step('The patient chooses a record, reads what the clinic will be able to do, and allows it', (_) =>
    choose(browser, parent.records[0] ?? ''),
  )
  const row = await step('The application learns of it by polling, with ids that only it knows', async () => {
    const [found] = mine(await poll(world, token, nobody.pollFrom), externalId)
    must(found?.stands === true, 'there is no row')
    must(found.record !== parent.records[0], 'the clinic was told the true id of the record')
    const { state } = await mustCall<NewCode['request']>(`${base}/requests/${request.id}`, token)
    must(state === 'authorized', `the request is ${state}`)
    return found
  })
  await step('The application reads the conditions, by itself', async (note) => {
    const read = await call(`${origin}/fhir/Condition?patient=${row.record}`, token)
    must(read.status === 200, `reading: ${read.status} ${JSON.stringify(read.json)}`)
    must(JSON.stringify(read.json).includes(condition), 'the condition is not there')
    const other = await call(`${origin}/fhir/Condition?patient=${parent.records[0]}`, token)
    must(other.status === 404 || other.json['total'] === 0, `by the true id it was answered ${other.status}`)
    note(`Condition “${condition}”`)
  })
  await step('The patient uses the code once more, for the record of the other child', async (note) => {
    const sibling = await newRecord(browser, 'Ben', '2018-09-09', 'parent')
    await enter(browser, url, question)
    await browser.press('Answer', { answer: 'sir barks-a-lot' })
    await choose(browser, sibling, true)
    note('Ben was born on another day than the clinic said: the page asks to confirm')
  })
  await step('The next poll has a second row for the same patient of the clinic', async () => {
    const rows = mine(await poll(world, token), externalId)
    must(rows.length === 2 && rows[0]?.record !== rows[1]?.record, `there are ${rows.length} rows`)
  })
}

async function poll({ origin }: World, token: string, since?: string): Promise<Polled> {
  const query = since === undefined ? '' : `?since=${encodeURIComponent(since)}`
  return mustCall<Polled>(`${origin}/api/v1/connect/authorized${query}`, token)
}

const mine = ({ authorized }: Polled, externalId: string) => authorized.filter((row) => row.externalId === externalId)

async function enter(browser: Browser, url: string, question: string): Promise<void> {
  await browser.open(url)
  await browser.press('Continue')
  must(browser.text.includes(question), `the code led to ${browser.at}: ${browser.text}`)
}

/** Picks the record and allows; where it seems to be another patient's, the page wants to hear that it is right. */
async function choose(browser: Browser, record: string, confirmed = false): Promise<void> {
  await browser.press('Continue', { record })
  must(browser.text.includes('Let Elm Street Practice in?'), `choosing led to ${browser.at}: ${browser.text}`)
  if (confirmed) {
    await browser.press('Allow')
    must(browser.status === 422, 'another patient was taken without a word')
  }
  await browser.press('Allow', confirmed ? { confirmed: 'yes' } : {})
  await eventually('the page of success', () => (browser.text.includes('Connected') ? true : undefined))
}
