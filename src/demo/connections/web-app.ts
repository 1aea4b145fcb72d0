import { authorizationUrl, call, newVerifier, tokens } from './application.js'
import { addProblem, endAccess, newRecord } from './person.js'
import { must, type Step } from './steps.js'
import { password, type World, webRedirect } from './world.js'

/** A web application connects by SMART App Launch: the person signs up, makes a record, consents, and ends it again. */
export async function webAppJourney(world: World, step: Step): Promise<void> {
  const { origin, web, letters } = world
  const email = 'sam.sample@mail.example'
  const scope = 'launch/patient openid patient/Condition.rs patient/Observation.rs'
  const asked = newVerifier()
  const url = authorizationUrl(origin, { id: web.id, redirect: webRedirect, scope }, asked)
  const browser = world.newBrowser()

  await step(`${web.name} sends the patient's browser to the gateway to ask for access`, async (note) => {
    await browser.open(url)
    must(browser.at.startsWith('/sign-in'), `the request led to ${browser.at}`)
    note('nobody is signed in yet, so the gateway asks who is there')
  })
  await step('The patient, new here, asks for an account', async () => {
    await browser.follow('Create an account')
    await browser.press('Send me the link', { email, name: 'Sam Sample' })
    must(browser.at === '/sign-up/sent', `signing up led to ${browser.at}`)
  })
  await step('A letter comes; its link proves the address, and the patient chooses a password', async (note) => {
    const letter = await letters.next(email)
    await browser.open(letter.url)
    await browser.press('Create the account', { password })
    must(browser.at.startsWith('/account'), `confirming led to ${browser.at}: ${browser.text}`)
    note(`letter: “${letter.subject}”`)
  })
  await step('The patient makes a record and enters a condition', async () => {
    await addProblem(browser, await newRecord(browser, 'Sam', '1980-02-03'), 'Hay fever')
  })
  await step(
    `The patient comes back to ${web.name}, which asks again; the page says what it wants and why`,
    async (note) => {
      await browser.open(url)
      must(
        browser.status === 200 && browser.at.startsWith('/authorize/'),
        `the request led to ${browser.at}: ${browser.text}`,
      )
      must(browser.text.includes('To show your conditions in a plain overview'), 'the page does not say why')
      note('needed: read conditions. The patient leaves out what is optional: vital signs')
    },
  )
  const code = await step('The patient allows it, and the browser goes back with a code', async () => {
    const { left } = await browser.press('Allow')
    must(
      left?.href.startsWith(`${webRedirect}?`) === true,
      `allowing led to ${left?.href ?? browser.at}: ${browser.text}`,
    )
    must(left.searchParams.get('state') === asked.state, 'the state is another one')
    return left.searchParams.get('code') ?? ''
  })
  const { token, patient } = await step('Its server exchanges the code for a token, once', async (note) => {
    const form = { grant_type: 'authorization_code', code, redirect_uri: webRedirect, client_id: web.id }
    const wrong = await tokens(origin, { ...form, code_verifier: newVerifier().verifier })
    must(wrong.status === 400, `a code with another verifier was answered ${wrong.status}`)
    const { status, json } = await tokens(origin, { ...form, code_verifier: asked.verifier })
    must(status === 200, `the code was answered ${status} ${JSON.stringify(json)}`)
    note(`scope: ${json['scope']}`)
    return { token: String(json['access_token']), patient: String(json['patient']) }
  })
  await step('It reads the conditions as FHIR, and nothing else', async (note) => {
    const read = await call(`${origin}/fhir/Condition?patient=${patient}`, token)
    must(read.status === 200, `reading: ${read.status} ${JSON.stringify(read.json)}`)
    must(JSON.stringify(read.json).includes('Hay fever'), 'the condition is not there')
    const more = await call(`${origin}/fhir/Observation?patient=${patient}`, token)
    must(more.json['total'] === 0 || more.status >= 400, `it was answered observations: ${JSON.stringify(more.json)}`)
    note('Condition “Hay fever”; vital signs were left out')
  })
  await step('The patient ends all access', () => endAccess(browser, web.name))
  await step('The next request of the application is refused', async (note) => {
    const { status } = await call(`${origin}/fhir/Condition?patient=${patient}`, token)
    must(status === 401 || status === 403, `it was answered ${status}`)
    note(`answered ${status}`)
  })
}
