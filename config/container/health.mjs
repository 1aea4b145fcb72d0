// Asks the gateway of this container whether it is alive; exit code 0 says yes. Follows the gateway's own settings: the
// variables and the file that DIRECT_GATEWAY_CONFIG names.
import { readFile } from 'node:fs/promises'
import { request as plain } from 'node:http'
import { request as secure } from 'node:https'
import process from 'node:process'
import { loadConfig } from '../../dist/config/load.js'

const waitMs = 4_000

/** Addresses that mean every interface: the gateway listens on loopback too. */
const everywhere = { '0.0.0.0': '127.0.0.1', '::': '::1', localhost: '127.0.0.1' }

const file = process.env.DIRECT_GATEWAY_CONFIG
const loaded = await loadConfig({
  env: process.env,
  cwd: process.cwd(),
  readFile: (path) => readFile(path, 'utf8'),
  ...(file && { file }),
})
if (loaded.kind === 'problems') end(1, 'the configuration has problems; see `direct-gateway config check`')
else ask(loaded.config.http)

function ask({ host, port, tls }) {
  const request = tls.certificateFile ? secure : plain
  // The certificate names the gateway to others, not to its own loopback; nothing secret is asked or told here.
  const target = { host: everywhere[host] ?? host, port, path: '/livez', rejectUnauthorized: false }
  const timer = setTimeout(() => end(1, `no answer within ${waitMs} ms`), waitMs)
  request(target, ({ statusCode }) => {
    clearTimeout(timer)
    end(statusCode === 200 ? 0 : 1, `${target.path} answered ${statusCode}`)
  })
    .on('error', (error) => end(1, error.message))
    .end()
}

/** Says it, and ends. */
function end(code, words) {
  process.stdout.write(`${words}\n`, () => process.exit(code))
}
