import type { Browser } from './browser.js'
import { must } from './steps.js'
import { password, type World } from './world.js'

/** Somebody with an account, signed in at a browser, with a record of their own. */
export interface Person {
  readonly email: string
  readonly name: string
  readonly browser: Browser
  /** Ids of records as the person knows them, in the order in which they were made. */
  readonly records: readonly string[]
}

export interface Who {
  readonly email: string
  readonly name: string
  readonly birthDate: string
}

/** Asks for an account at the page, and follows the link in the letter. */
export async function signUp(
  { letters, newBrowser }: Pick<World, 'letters' | 'newBrowser'>,
  { email, name }: Pick<Who, 'email' | 'name'>,
): Promise<Browser> {
  const browser = newBrowser()
  await browser.open('/sign-up')
  await browser.press('Send me the link', { email, name })
  must(browser.at === '/sign-up/sent', `signing up led to ${browser.at}: ${browser.text}`)
  await browser.open((await letters.next(email)).url)
  await browser.press('Create the account', { password })
  must(browser.at.startsWith('/account'), `confirming led to ${browser.at}: ${browser.text}`)
  return browser
}

/** Makes a record at the page; answers its id. */
export async function newRecord(
  browser: Browser,
  name: string,
  birthDate: string,
  relationship = 'self',
): Promise<string> {
  await browser.open('/records')
  await browser.press('Create a record', { name, birthDate, relationship })
  must(browser.status === 200, `creating a record: ${browser.text}`)
  const cell = browser.html.split('<tr>').find((row) => row.includes(`<td>${name}</td>`))
  const id = /href="\/records\/([^/"]+)\/sharing"/.exec(cell ?? '')?.[1]
  must(id !== undefined, 'the new record is not in the list')
  return id
}

/** Enters a condition, as a page of the Message Center would; answers its words. */
export async function addProblem(browser: Browser, record: string, text: string): Promise<string> {
  const item = { content: { type: 'problem', problem: { codings: [], text } } }
  const changes = [{ kind: 'create', item }]
  const { status, json } = await browser.call('POST', `/api/v1/records/${record}/items`, { changes })
  must(status === 200, `adding a condition: ${status} ${JSON.stringify(json)}`)
  return text
}

/** Account, letter, record and a condition in it, all at once. */
export async function settle(world: World, who: Who, condition: string): Promise<Person> {
  const browser = await signUp(world, who)
  const record = await newRecord(browser, who.name, who.birthDate)
  await addProblem(browser, record, condition)
  return { ...who, browser, records: [record] }
}

/** Ends what an application may do, at the page that lists what was granted. */
export async function endAccess(browser: Browser, application: string): Promise<void> {
  await browser.open('/account/apps')
  const box = browser.html.split('<li class="box">').find((one) => one.includes(`<h3>${application}</h3>`))
  const path = /href="(\/account\/apps\/[^"]+)"/.exec(box ?? '')?.[1]
  must(path !== undefined, `${application} is not in the list of applications`)
  await browser.open(path)
  await browser.press('End all access')
  must(/done=ended/.test(browser.at), `ending led to ${browser.at}`)
}
