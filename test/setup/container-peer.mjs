// What the container's proof needs from outside the container, with Node alone.
//
//   ports               prints two free ports of this machine
//   ready URL WAIT_MS   waits for 200; exit code 1 when it does not come
//   mail PORT RECIPIENT FILE  sends the message in the file by SMTP, and prints the last reply
import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import { get as secureGet } from 'node:https'
import { connect, createServer } from 'node:net'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'

const [task, ...given] = process.argv.slice(2)
const tasks = { ports, ready, mail }
await tasks[task](...given)

async function ports() {
  const servers = await Promise.all(
    [0, 0].map(
      () =>
        new Promise((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
        }),
    ),
  )
  console.log(servers.map((server) => server.address().port).join(' '))
  for (const server of servers) server.close()
}

async function ready(url, waitMs) {
  const ask = url.startsWith('https:') ? secureGet : get
  const status = () =>
    new Promise((resolve) => {
      ask(url, { rejectUnauthorized: false, timeout: 1_000, agent: false }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      }).on('error', () => resolve(0))
    })
  for (const until = Date.now() + Number(waitMs); Date.now() < until; await sleep(20)) {
    if ((await status()) === 200) return
  }
  process.exitCode = 1
}

async function mail(port, recipient, file) {
  const socket = connect(Number(port), '127.0.0.1').setTimeout(10_000, () => socket.destroy(new Error('silence')))
  let text = ''
  const reply = async () => {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      text += chunk
      if (/^\d{3} .*\r\n$/m.test(text)) break
    }
    const said = text.trimEnd()
    text = ''
    return said
  }
  const message = `${readFileSync(file, 'latin1').replace(/\r?\n/g, '\r\n').replace(/^\./gm, '..')}.`
  let said = await reply()
  for (const line of [
    'EHLO peer.example',
    'MAIL FROM:<proof@peer.example>',
    `RCPT TO:<${recipient}>`,
    'DATA',
    message,
  ]) {
    if (/^[45]/.test(said)) break
    socket.write(`${line}\r\n`, 'latin1')
    said = await reply()
  }
  socket.end('QUIT\r\n')
  console.log(said)
}
