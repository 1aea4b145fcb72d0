import { samplePatient } from '../documents/patient.js'
import { sampleCcda } from '../documents.js'
import { gatewayDomain, sender } from '../story.js'
import type { Browser } from './browser.js'
import { certificateOf, fieldOf, namesIn, processedNotice, receive, send } from './far-side.js'
import { newRecord, settle, signUp } from './person.js'
import { eventually, must, type Step } from './steps.js'
import type { World } from './world.js'

const name = `${samplePatient.given} ${samplePatient.family}`
const newcomer = { ...samplePatient, given: 'Noa', family: 'Newcomer', birthDate: '1975-07-07' }
const processed = /;\s*processed/i

/** A patient has an address that doctors write to, takes in what comes, and writes back; and so does who had none yet. */
export async function directJourney(world: World, step: Step): Promise<void> {
  const who = { email: 'dana.direct@mail.example', name, birthDate: samplePatient.birthDate }
  const { browser, records } = await settle(world, who, 'Seasonal allergy')
  const [record = ''] = records

  const address = await step(
    'The patient takes a Direct address for the record, one that the page suggests',
    async (note) => {
      const taken = await activate(browser, record)
      note(taken)
      return taken
    },
  )
  const certificatePath = await step('The address gets a certificate of its own, which doctors find', async (note) => {
    const path = await certificateOf(world, address)
    const names = await namesIn(path)
    must(names.includes(`email:${address}`), `it is for ${names}`)
    note(names)
    return path
  })
  await exchange(world, step, { browser, record, address, certificatePath })
  await newcomerComes(world, step)
}

interface Correspondent {
  readonly browser: Browser
  readonly record: string
  readonly address: string
  readonly certificatePath: string
}

/** Mail with a known patient: to the record, and back out of it. */
async function exchange(
  world: World,
  step: Step,
  { browser, record, address, certificatePath }: Correspondent,
): Promise<void> {
  await step('A doctor sends a visit summary there, signed and encrypted by openssl', async (note) => {
    const attachment = { name: 'summary.xml', type: 'text/xml', bytes: sampleCcda() }
    const messageId = '<visit@direct.hospital.example>'
    const reply = await send(world, { to: address, certificatePath, messageId, subject: 'Your visit', attachment })
    must(reply.startsWith('250'), `the gateway replied ${reply}`)
    note(reply)
  })
  await step('The doctor gets a notice: processed', async () => {
    const notice = await receive(world)
    must(processed.test(fieldOf(notice, 'Disposition')), `the notice says ${fieldOf(notice, 'Disposition')}`)
    must(fieldOf(notice, 'Original-Message-ID') === '<visit@direct.hospital.example>', 'it is of another message')
  })
  await step(
    'The message is in the mailbox; what the summary says waits for the patient to take it in',
    async (note) => {
      const { json } = await browser.call('GET', `/api/v1/mailboxes/${address}/messages`)
      const { messages } = json as { messages: readonly { subject: string }[] }
      must(
        messages.some(({ subject }) => subject === 'Your visit'),
        'the message is not in the mailbox',
      )
      const items = await eventually('items of the summary', async () => {
        const found = await proposed(browser, record)
        return found > 0 ? found : undefined
      })
      note(`${items} items proposed, none taken in unasked`)
    },
  )
  const transmission = await step('The patient sends the conditions to the doctor, as a C-CDA', async () => {
    const body = { to: sender, format: 'ccd', types: ['problem'], note: 'As we said.' }
    const { status, json } = await browser.call('POST', `/api/v1/records/${record}/transmissions`, body)
    must(status === 202, `sending was answered ${status} ${JSON.stringify(json)}`)
    return (json as { id: string }).id
  })
  const about = await step(
    'The doctor opens it with openssl: it is signed for the address of the patient',
    async (note) => {
      const letter = await receive(world)
      must(fieldOf(letter, 'From').includes(address), `it is from ${fieldOf(letter, 'From')}`)
      must(/ClinicalDocument|xml/i.test(letter), 'there is no document in it')
      note(`from ${fieldOf(letter, 'From')}`)
      return fieldOf(letter, 'Message-ID')
    },
  )
  await step('The doctor answers with a notice, and the patient sees that it was processed', async () => {
    const messageId = '<notice@direct.hospital.example>'
    const entity = processedNotice(about)
    await send(world, { to: address, certificatePath, messageId, subject: 'Processed', entity })
    await eventually('the state of the transmission', async () => {
      const { json } = await browser.call('GET', `/api/v1/records/${record}/transmissions`)
      const { transmissions } = json as { transmissions: readonly { id: string; state?: string }[] }
      return transmissions.find(({ id }) => id === transmission)?.state === 'processed' ? true : undefined
    })
  })
  await step('The history of the record tells to whom something went', async (note) => {
    const { json } = await browser.call('GET', `/api/v1/records/${record}/activity`)
    const { entries } = json as { entries: readonly { action: string; addressee?: string }[] }
    must(
      entries.some(({ addressee }) => addressee === sender),
      `no line names ${sender}: ${JSON.stringify(entries)}`,
    )
    note(`addressee: ${sender}`)
  })
}

/** Mail for somebody who has no address here yet: `newuser@`. */
async function newcomerComes(world: World, step: Step): Promise<void> {
  const to = `newuser@${gatewayDomain}`
  const email = 'noa.newcomer@mail.example'
  const [question, answer] = ['Which pet came along?', 'The grey parrot']
  const subject = `${email};${question};${answer};Your visit`
  const messageId = '<newcomer@direct.hospital.example>'
  const attachment = { name: 'summary.xml', type: 'text/xml', bytes: sampleCcda(newcomer) }

  const certificatePath = await step('For a patient without an address the doctor writes to newuser@', async (note) => {
    const path = await certificateOf(world, to)
    const told = await send(world, {
      ...{ to, certificatePath: path, subject: 'Your visit', messageId: '<outer@direct.hospital.example>' },
      outerSubject: subject,
    })
    must(told.startsWith('5'), `an answer that anybody can read was taken: ${told}`)
    note(`with the answer on the outside it is refused: ${told}`)
    return path
  })
  await step('With address, question and answer inside the signed message it is held for that person', async (note) => {
    const reply = await send(world, { to, certificatePath, messageId, subject, attachment })
    must(reply.startsWith('250'), `the gateway replied ${reply}`)
    const notice = await receive(world)
    must(processed.test(fieldOf(notice, 'Disposition')), `the notice says ${fieldOf(notice, 'Disposition')}`)
    note('the doctor gets a notice: processed')
  })
  const code = await step(
    'A letter with a link and a code goes to that person, and says nothing else',
    async (note) => {
      const letter = await world.letters.next(email)
      must(!/pet|parrot|visit|rivera/i.test(letter.text), 'the letter tells of the message')
      note(`letter: “${letter.subject}”`)
      return new URL(letter.url).searchParams.get('code') ?? ''
    },
  )
  const { browser, record, address } = await step(
    'The person signs up, makes a record, and takes an address',
    async (note) => {
      const browser = await signUp(world, { email, name: 'Noa Newcomer' })
      const record = await newRecord(browser, 'Noa Newcomer', newcomer.birthDate)
      const address = await activate(browser, record)
      note(address)
      return { browser, record, address }
    },
  )
  await step('The code and the answer bring the message into the mailbox and the record', async (note) => {
    const right = await browser.call('POST', '/api/v1/pickup/answer', { code, answer: answer.toLowerCase() })
    must(right.status === 200, `the answer: ${right.status} ${JSON.stringify(right.json)}`)
    const { ticket } = right.json as { ticket: string }
    const taken = await browser.call('POST', '/api/v1/pickup/message/accept', { ticket, record })
    must(taken.status === 200, `taking it: ${taken.status} ${JSON.stringify(taken.json)}`)
    must((taken.json as { address: string }).address === address, 'it went to another address')
    note(`${await proposed(browser, record)} items proposed`)
  })
  await step('It opens nothing a second time', async () => {
    const again = await browser.call('POST', '/api/v1/pickup/answer', { code, answer })
    must(again.status === 404, `it was answered ${again.status}`)
  })
}

/** Takes the first address that the page suggests. */
async function activate(browser: Browser, record: string): Promise<string> {
  await browser.open(`/records/${record}/addresses`)
  await browser.press('Get this address')
  must(browser.at.endsWith('?done=taken'), `taking an address led to ${browser.at}: ${browser.text}`)
  const address = /<h3>([^<@]+@[^<]+)<\/h3>/.exec(browser.html)?.[1]
  must(address !== undefined, 'the page does not show the address')
  return address
}

/** How many items wait to be taken in. */
async function proposed(browser: Browser, record: string): Promise<number> {
  const { json } = await browser.call('GET', `/api/v1/records/${record}/items?limit=200`)
  const { items } = json as { items: readonly { state: string }[] }
  return items.filter(({ state }) => state === 'proposed').length
}
