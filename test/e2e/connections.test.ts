import { readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { journeys } from '../../src/demo/connections/connections.js'
import { start, tell } from '../fixtures/process.js'
import { copyProduct, type Plant } from '../torture/product.js'

let home: string
let scratch: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'dg-connections-'))
  scratch = await mkdtemp(join(tmpdir(), 'dg-demo-'))
})
afterAll(async () => {
  await rm(home, { recursive: true, force: true })
  await rm(scratch, { recursive: true, force: true })
})

function play(program?: string) {
  const argv = ['demo', '--connections', '--once']
  return start(argv, { cwd: scratch, env: { TMPDIR: scratch }, ...(program !== undefined && { program }) }).ended
}

/** The lines of one journey, from its title to the empty line. */
function told(out: string, title: string): readonly string[] {
  const lines = out.split('\n')
  const from = lines.findIndex((line) => line.endsWith(`. ${title}`))
  return from < 0 ? [] : lines.slice(from, lines.indexOf('', from))
}

/** What each journey is to have told of, in its order. */
const steps: Readonly<Record<string, readonly RegExp[]>> = {
  'A web application (SMART App Launch)': [
    /sends the patient's browser/,
    /A letter comes/,
    /the page says what it wants and why/,
    /goes back with a code/,
    /exchanges the code for a token/,
    /reads the conditions as FHIR/,
    /ends all access/,
    /refused/,
  ],
  'A clinic without a page of its own (Patient Connect)': [
    /face to face, for a question/,
    /creates a request, and gets a pickup code/,
    /neither question nor answer is in it/,
    /polls: nobody came yet/,
    /enters the code; the page shows the question/,
    /gives the answer/,
    /chooses a record/,
    /learns of it by polling/,
    /reads the conditions, by itself/,
    /the other child/,
    /a second row/,
  ],
  'Documents left under a code (drop-off and pick-up)': [
    /gets the code before/,
    /uploads a visit summary/,
    /leaves the package/,
    /answers it/,
    /looks at what is inside/,
    /somebody else/,
    /into the right record/,
    /receipt/,
    /Nobody takes it twice/,
  ],
  'An app on two devices (dynamic registration, DPoP)': [
    /registers itself on two devices/,
    /registers nothing/,
    /The telephone asks for access/,
    /The tablet does the same/,
    /without the key of its device reads nothing/,
    /each refresh token serves once/,
    /ends the access of the telephone alone/,
    /gets no tokens/,
    /The tablet lives on/,
  ],
  'An address for the patient (Direct)': [
    /takes a Direct address/,
    /certificate of its own/,
    /sends a visit summary there/,
    /a notice: processed/,
    /waits for the patient to take it in/,
    /sends the conditions to the doctor/,
    /opens it with openssl/,
    /sees that it was processed/,
    /to whom something went/,
    /writes to newuser@/,
    /held for that person/,
    /into the mailbox and the record/,
  ],
}

describe('the demo of the ways into a record', () => {
  it('tells every journey to its end, step by numbered step, within a minute, and leaves nothing behind', async () => {
    const began = performance.now()
    const { code, out, err } = await play()
    const tookMs = performance.now() - began
    tell(`demo --connections --once: ${Math.round(tookMs)} ms`)
    expect({ code, err }, out).toEqual({ code: 0, err: '' })
    expect(out).toContain('All journeys came to their end.')
    expect(out).not.toContain('FAILED')
    expect(readdirSync(scratch)).toEqual([])
    expect(tookMs).toBeLessThan(60_000)

    expect(Object.keys(steps)).toEqual(journeys.map(({ title }) => title))
    for (const [title, wanted] of Object.entries(steps)) {
      const lines = told(out, title)
      expect(lines.at(-1), title).toBe(`  Done: ${title}`)
      const numbered = lines.filter((line) => /^ {2}\d+\. /.test(line))
      expect(numbered.map((line) => Number.parseInt(line, 10))).toEqual(numbered.map((_, index) => index + 1))
      const places = wanted.map((step) => numbered.findIndex((line) => step.test(line)))
      expect(places, title).toEqual([...places].sort((one, other) => one - other))
      expect(places, title).not.toContain(-1)
    }
  })

  const faults: readonly (readonly [string, Plant, string, RegExp])[] = [
    [
      'polling forgets who connected',
      {
        file: 'connect/patient-connect.js',
        find: 'return { rows, pollFrom,',
        put: 'return { rows: [], pollFrom,',
      },
      'A clinic without a page of its own (Patient Connect)',
      /FAILED at step 9\. The application learns of it by polling/,
    ],
    [
      'a revoked grant goes on',
      {
        file: 'consent/consents.js',
        find: 'if (!grant || grant.revoked)',
        put: 'if (!grant)',
      },
      'A web application (SMART App Launch)',
      /FAILED at step 10\./,
    ],
  ]
  it.each(faults)(
    'names the step where %s, goes on with the others, and does not end with 0',
    async (name, plant, title, step) => {
      const dist = copyProduct(home, name.replace(/\W/g, '-'), [plant])
      const { code, out } = await play(join(dist, 'main.js'))
      expect(code, out).toBe(1)
      expect(told(out, title).at(-1)).toMatch(step)
      expect(out).toContain('Not all journeys came to their end')
      expect(out.match(/^ {2}Done: /gm)?.length, out).toBeGreaterThanOrEqual(journeys.length - 2)
    },
  )
})
