import { directJourney } from './direct.js'
import { dropOffJourney } from './drop-off.js'
import { mobileAppJourney } from './mobile-app.js'
import { patientConnectJourney } from './patient-connect.js'
import { type Step, stepsOf } from './steps.js'
import { webAppJourney } from './web-app.js'
import { openWorld, password, type World } from './world.js'

const say = (text = '') => void process.stdout.write(`${text}\n`)

/** One way into a record, from the first word to the last. */
export interface Journey {
  readonly title: string
  run(world: World, step: Step): Promise<void>
}

export const journeys: readonly Journey[] = [
  { title: 'A web application (SMART App Launch)', run: webAppJourney },
  { title: 'A clinic without a page of its own (Patient Connect)', run: patientConnectJourney },
  { title: 'Documents left under a code (drop-off and pick-up)', run: dropOffJourney },
  { title: 'An app on two devices (dynamic registration, DPoP)', run: mobileAppJourney },
  { title: 'An address for the patient (Direct)', run: directJourney },
]

/**
 * Tells every journey against a gateway on loopback, one after the other; a journey that fails is told with its step, and
 * the others go on. Answers 0 where all came to their end. Without `once` the gateway stays up for the curious.
 */
export async function playConnections(folder: string, once: boolean, told: AbortSignal): Promise<number> {
  say('Making keys for a hospital with openssl, and a gateway for patients, all of it made up …')
  const world = await openWorld(folder)
  try {
    say(`The gateway is up at ${world.origin}; its SMTP is on 127.0.0.1:${world.smtpPort}.`)
    const failed: string[] = []
    for (const [index, { title, run }] of journeys.entries()) {
      if (told.aborted) return 1
      say(`\n${index + 1}. ${title}`)
      try {
        await run(world, stepsOf(say))
        say(`  Done: ${title}`)
      } catch (error) {
        const words = error instanceof Error ? error.message : String(error)
        say(`  FAILED at step ${words}`)
        failed.push(title)
      }
    }
    say(
      failed.length === 0
        ? '\nAll journeys came to their end.'
        : `\nNot all journeys came to their end: ${failed.join('; ')}.`,
    )
    if (!once && !told.aborted) {
      say(`\nThe gateway stays up until Ctrl-C; then all of this is removed. ${world.origin}/sign-in`)
      say(`Sign in as sam.sample@mail.example with the password “${password}”.`)
      await new Promise((resolve) => told.addEventListener('abort', resolve))
    }
    return failed.length === 0 ? 0 : 1
  } finally {
    await world.close()
  }
}
