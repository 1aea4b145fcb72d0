import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listenForMail, openMail } from '../../src/demo/mail.js'
import {
  ask,
  configure,
  type Estate,
  furnished,
  letter,
  mustRun,
  patient,
  type Serving,
  sender,
  serve,
  until,
} from '../fixtures/process.js'

/** Deadlines of seconds, a far side that takes mail and says nothing, and a gateway that is killed meanwhile. */

const wired = readFileSync(new URL('../../src/gateway/mail.ts', import.meta.url), 'utf8').includes('trackingQueue')
const seconds = 4

interface Message {
  readonly subject: string
  readonly notice?: { readonly kind: string; readonly disposition: string; readonly originalMessageId?: string }
}

describe.skipIf(!wired)('a message that nobody answers (SKIPPED while no worker looks after deadlines)', () => {
  let mail: Awaited<ReturnType<typeof listenForMail>>
  let estate: Estate
  let token: string
  const mailbox = `/api/v1/mailboxes/${patient}`

  beforeAll(async () => {
    mail = await listenForMail()
    estate = await furnished(mail.port)
    // Told after what the commands of furnishing read, so that no deadline runs while they do.
    configure(estate.folder, mail.port, `tracking: { processedSeconds: ${seconds}, dispatchedSeconds: ${seconds} }`)
    const on = ['--config', 'gateway.yaml']
    await mustRun(estate.folder, 'peer', 'add', estate.provider.certificatePath, '--for', sender, ...on)
    const scopes = ['--scope', 'messages:read', 'messages:send']
    token = (await mustRun(estate.folder, 'token', 'create', '--address', patient, ...scopes, ...on)).trim()
  })
  afterAll(() => {
    mail.close()
    estate.remove()
  })

  async function send({ url }: Serving, id: string): Promise<string> {
    const body = [
      ...[`From: <${patient}>`, `To: <${sender}>`, `Message-ID: <${id}@patients.example>`, 'Subject: A question'],
      `Disposition-Notification-To: <${patient}>`,
      'Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true',
      ...['', 'All is well.', ''],
    ].join('\r\n')
    const headers = { 'content-type': 'message/rfc822' }
    const answer = await ask(url, token, `${mailbox}/messages`, { method: 'POST', headers, body })
    expect(answer.status, answer.bytes.toString()).toBe(202)
    return answer.json<{ id: string }>().id
  }

  async function stateOf({ url }: Serving, id: string) {
    const answer = await ask(url, token, `${mailbox}/submissions/${id}`)
    const [one] = answer.json<{ recipients: { state: string; reason?: string; status?: string }[] }>().recipients
    return one
  }

  async function told({ url }: Serving, id: string): Promise<string[]> {
    const { messages } = (await ask(url, token, `${mailbox}/messages`)).json<{ messages: Message[] }>()
    return messages.flatMap(({ notice }) =>
      notice?.originalMessageId === `<${id}@patients.example>` ? [`${notice.kind} ${notice.disposition}`] : [],
    )
  }

  /** The provider's gateway answers, signed and encrypted by OpenSSL. */
  async function answer({ smtpPort }: Serving, id: string, disposition: string): Promise<void> {
    const report = [
      `Final-Recipient: rfc822; ${sender}`,
      `Original-Message-ID: <${id}@patients.example>`,
      `Disposition: automatic-action/MDN-sent-automatically; ${disposition}`,
      ...(disposition === 'dispatched' ? ['X-DIRECT-FINAL-DESTINATION-DELIVERY: '] : []),
    ]
    const content = [
      ...['Content-Type: multipart/report; report-type=disposition-notification; boundary="b"', ''],
      ...['--b', 'Content-Type: text/plain', '', 'See below.', '--b'],
      ...['Content-Type: message/disposition-notification', '', ...report, '', '--b--', ''],
    ].join('\r\n')
    const session = await openMail(smtpPort)
    const wire = await letter(estate, `${disposition}-${id}`, { content, subject: 'Notice' })
    expect(await session.send(sender, [patient], wire)).toMatch(/^250 /)
    session.close()
  }

  it('is reported once though the gateway is killed before the deadline; what comes late is swallowed; a quick answer is told', async () => {
    const first = await serve(estate.folder)
    const late = await send(first, 'late')
    await until(async () => ((await stateOf(first, late))?.state === 'sent' ? true : undefined))
    await first.stop('SIGKILL')
    await sleep(seconds * 1000)

    const second = await serve(estate.folder)
    await until(async () => ((await stateOf(second, late))?.state === 'failed' ? true : undefined))
    expect(await stateOf(second, late)).toMatchObject({ reason: 'not-processed', status: '5.4.7' })
    expect(await told(second, 'late')).toEqual(['dsn failed'])

    const quick = await send(second, 'quick')
    await until(async () => (mail.received.length >= 2 ? true : undefined))
    await answer(second, 'quick', 'processed')
    await answer(second, 'quick', 'dispatched')
    await answer(second, 'late', 'dispatched')
    await until(async () => ((await told(second, 'quick')).length > 0 ? true : undefined))
    await sleep(seconds * 1000)
    // Whoever was too slow for the deadline was told the truth about that too: once.
    const { state = '' } = (await stateOf(second, quick)) ?? {}
    expect(await told(second, 'quick')).toEqual([state === 'dispatched' ? 'mdn dispatched' : 'dsn failed'])
    expect(await told(second, 'late')).toEqual(['dsn failed'])

    await second.stop('SIGKILL')
    const third = await serve(estate.folder)
    await sleep(1000)
    expect([await told(third, 'late'), (await told(third, 'quick')).length]).toEqual([['dsn failed'], 1])
    expect((await third.stop()).code).toBe(0)
    const verified = JSON.parse(await mustRun(estate.folder, 'verify', '--json', '--config', 'gateway.yaml'))
    expect(verified).toMatchObject({ whole: true, findings: 0 })
  })
})
