import { stringify } from 'yaml'
import { writeDuration } from './duration.js'
import { type Leaf, leaves, schemaDocument, sections } from './leaves.js'
import type { Config } from './settings.js'

/** The JSON Schema for editors: `config/gateway.schema.json`. */
export function schemaFile(): string {
  return `${JSON.stringify(schemaDocument(), null, 2)}\n`
}

/** The effective configuration as YAML, as `config print` shows it. Holds no secret, because a Config holds none. */
export function printConfig(config: Config): string {
  return stringify(config)
}

/** The commented example file: every setting at its default, switched off by `#`. */
export function exampleFile(): string {
  const lines = [
    '# yaml-language-server: $schema=./gateway.schema.json',
    '# Every setting at its default. Remove the `# ` before a setting, and before the section it stands in, to change it.',
    '# Times may be written 10s, 45m, 4d. Relative paths count from this file. Nothing secret belongs here.',
    '',
  ]
  const root = leaves()
  for (const leaf of root.filter((leaf) => leaf.path.length === 1)) lines.push(...exampleLines(leaf), '')
  for (const { path, why } of sections()) {
    lines.push(...comment(why, ''), `# ${path}:`)
    let open: readonly string[] = []
    for (const leaf of root.filter((leaf) => leaf.path.length > 1 && leaf.path[0] === path)) {
      const inner = leaf.path.slice(1, -1)
      const kept = inner.findIndex((name, depth) => open[depth] !== name)
      for (let depth = kept; depth >= 0 && depth < inner.length; depth++)
        lines.push(`#${'  '.repeat(depth + 1)} ${inner[depth]}:`)
      open = inner
      lines.push(...exampleLines(leaf))
    }
    lines.push('')
  }
  return `${lines.join('\n').trimEnd()}\n`
}

function exampleLines(leaf: Leaf): string[] {
  const indent = '  '.repeat(leaf.path.length - 1)
  return [...comment(leaf.why, indent), `# ${indent}${leaf.path.at(-1)}: ${exampleValue(leaf)}`]
}

function exampleValue({ node, kind, path }: Leaf): string {
  if (node.default === undefined) return examples[path.join('.')] ?? ''
  if (kind === 'duration') return durationOf(path, node.default)
  if (path.join('.') === 'outbound.routes') return '{ clinic.example.org: "192.0.2.25:2525" }'
  return JSON.stringify(node.default)
}

/** What stands in the example for settings without a default. */
const examples: Readonly<Record<string, string>> = {
  'masterKey.file': 'data/master.key',
  'store.postgres.url': 'postgresql://gateway@db.example.org:5432/gateway',
  'store.postgres.passwordFile': 'secrets/postgres-password',
  'store.postgres.caFile': 'tls/postgres-ca.pem',
  'blobs.directory': 'data/blobs',
  'blobs.s3.endpoint': 'https://s3.example.org',
  'blobs.s3.bucket': 'gateway',
  'blobs.s3.accessKeyId': 'GATEWAY',
  'blobs.s3.secretAccessKeyFile': 'secrets/s3-secret-key',
  'blobs.s3.caFile': 'tls/s3-ca.pem',
  'smtp.tls.certificateFile': 'tls/smtp-chain.pem',
  'smtp.tls.keyFile': 'tls/smtp-key.pem',
  'http.tls.certificateFile': 'tls/http-chain.pem',
  'http.tls.keyFile': 'tls/http-key.pem',
  'http.publicUrl': 'https://records.clinic.example',
  'letters.from': '"Records <no-reply@clinic.example>"',
  'letters.relay.host': 'relay.clinic.example',
  'letters.relay.caFile': 'tls/relay-ca.pem',
  'letters.relay.username': 'gateway',
  'letters.relay.passwordFile': 'secrets/relay-password',
  'outbound.defaultRoute': 'relay.example.org:25',
  'edge.submission.port': '2587',
  'edge.submission.implicitTlsPort': '2465',
  'edge.submission.tls.certificateFile': 'tls/submission-chain.pem',
  'edge.submission.tls.keyFile': 'tls/submission-key.pem',
  'edge.dovecot.usersFile': 'data/dovecot-users',
  'authority.publicUrl': 'http://pki.clinic.example',
  'authority.files.port': '8081',
  'pkcs11.module': '/usr/lib/softhsm/libsofthsm2.so',
  'pkcs11.pinFile': 'secrets/token-pin',
  'publish.ldap.url': 'ldaps://ldap.clinic.example',
  'publish.ldap.caFile': 'tls/ldap-ca.pem',
  'publish.ldap.bindDn': 'cn=gateway,o=direct',
  'publish.ldap.passwordFile': 'secrets/ldap-password',
  'publish.ldap.baseDn': 'ou=certificates,o=direct',
}

function durationOf(path: readonly string[], value: unknown): string {
  return writeDuration(Number(value) * (path.at(-1)?.endsWith('Ms') ? 1 : 1_000))
}

/** Wraps words at 110 columns under `##`, so that removing `# ` uncovers settings only. */
function comment(text: string, indent: string): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length > 105) lines.push(`## ${indent}${word}`)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

/** `docs/configuration.md`: every setting with its default, its variable and why. */
export function configurationManual(): string {
  const all = leaves()
  const rowsOf = (rows: readonly Leaf[]) => ['| setting | default | why |', '|---|---|---|', ...rows.map(row)]
  const parts = [
    '# Configuration',
    '',
    '<!-- Made from src/config/settings.ts by `npm run generate`; do not edit. -->',
    '',
    'A YAML file (`--config FILE`, or `DIRECT_GATEWAY_CONFIG`), and the environment over it. Unknown settings are errors.',
    '`direct-gateway config check` says what is wrong, `config print` what is in effect, `config example` writes a',
    'commented file.',
    '',
    '- Every setting but maps has a variable: `smtp.tls.keyFile` is `DIRECT_GATEWAY_SMTP_TLS_KEY_FILE`. Lists are separated by commas.',
    '- Times are numbers in the unit of their name, or text: `500ms`, `10s`, `45m`, `4d`.',
    '- Relative paths count from the configuration file; those of the environment from the working folder.',
    '- Secrets are never settings. The master key is read from `masterKey.file`, or from `DIRECT_GATEWAY_MASTER_KEY` itself.',
    '',
    '## Top level',
    '',
    ...rowsOf(all.filter(({ path }) => path.length === 1)),
    '',
  ]
  for (const { path, why } of sections()) {
    parts.push(
      `## ${path}`,
      '',
      why,
      '',
      ...rowsOf(all.filter((leaf) => leaf.path.length > 1 && leaf.path[0] === path)),
      '',
    )
  }
  return `${parts.join('\n').trimEnd()}\n`
}

function row({ path, node, kind, why }: Leaf): string {
  const fallback =
    node.default === undefined
      ? ''
      : kind === 'duration'
        ? durationOf(path, node.default)
        : JSON.stringify(node.default)
  const choices = node.enum ? ` One of ${node.enum.map((value) => `\`${value}\``).join(', ')}.` : ''
  const bounds =
    kind === 'number' && node.minimum !== undefined && node.maximum !== undefined
      ? ` From ${node.minimum} to ${node.maximum}.`
      : ''
  return `| \`${path.join('.')}\` | ${fallback && `\`${fallback}\``} | ${why}${choices}${bounds} |`
}
