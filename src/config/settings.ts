import { z } from 'zod'
import { durationPattern, readDuration } from './duration.js'
import { limits } from './limits.js'

/**
 * Every setting with its default and why it is so. Types, checks, docs/configuration.md, the example file and the JSON
 * schema all come from here.
 */

/** A time span: a number in the unit of the setting's name, or text such as `45m`. */
function duration(unit: 'ms' | 'seconds', fallback: number, max: number, why: string, min = 0) {
  return span(unit, max, min).prefault(fallback).meta({ description: why })
}

function span(unit: 'ms' | 'seconds', max: number, min: number) {
  const perUnit = unit === 'ms' ? 1 : 1_000
  const words = `a time such as 10s, 45m or 4d, or a number of ${unit === 'ms' ? 'milliseconds' : 'seconds'}`
  return z
    .union([z.number(), z.string().regex(durationPattern, { error: `expected ${words}` })], {
      error: `expected ${words}`,
    })
    .transform((value) => (typeof value === 'number' ? value : (readDuration(value) ?? Number.NaN) / perUnit))
    .pipe(
      z
        .number({ error: `expected ${words}` })
        .min(min)
        .max(max),
    )
}

const whole = (fallback: number, min: number, max: number, why: string) =>
  z.number().int().min(min).max(max).default(fallback).meta({ description: why })

const choice = <const T extends readonly [string, ...string[]]>(values: T, fallback: T[number], why: string) =>
  z
    .enum(values)
    .default(fallback as never)
    .meta({ description: why })

const onOff = (fallback: boolean, why: string) => z.boolean().default(fallback).meta({ description: why })

const text = (fallback: string, why: string) => z.string().min(1).default(fallback).meta({ description: why })

/** A path; relative ones count from the configuration file. */
const fileName = z.string().min(1).meta({ format: 'path' })

const path = (why: string) => fileName.optional().meta({ description: why, format: 'path' })

const section = <T extends z.core.$ZodShape>(why: string, shape: T) =>
  z
    .strictObject(shape)
    .prefault({} as never)
    .meta({ description: why })

const portNumber = z.number().int().min(0).max(65_535)

const hostPattern = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+))(?::(\d{1,5}))?$/

/** Whether links, cookies and tokens can be made of it: an origin in its normal form, with TLS where others come. */
function isOwnOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { origin, protocol, hostname } = new URL(text)
  return origin === text && (protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname))
}

/** `host`, `host:port` or `[2001:db8::1]:port`. */
function readHostPort(value: string): { readonly host: string; readonly port?: number } | undefined {
  const match = hostPattern.exec(value)
  const host = match?.[1] ?? match?.[2]
  if (!match || !host) return undefined
  if (match[3] === undefined) return { host }
  const port = Number(match[3])
  return port <= 65_535 ? { host, port } : undefined
}

/** No password: what is configured is also shown. */
const postgresUrl = /^postgres(?:ql)?:\/\/(?:[^\s:@/]+@)?[^\s@/]*\/[^\s@/?]+(?:\?host=\/[^\s&]+)?$/

const tlsPolicy = z.enum(['required', 'opportunistic', 'off'])

const expectedRoute = 'expected host:port, or host, port and tls'

const route = z
  .union(
    [
      z.string().regex(hostPattern, { error: expectedRoute }),
      z.strictObject({ host: z.string().min(1), port: portNumber.optional(), tls: tlsPolicy.optional() }),
    ],
    { error: expectedRoute },
  )
  .transform((value, context): Route => {
    if (typeof value !== 'string') {
      const { host, port, tls } = value
      return { host, ...(port !== undefined && { port }), ...(tls && { tls }) }
    }
    const read = readHostPort(value)
    if (read) return read
    context.addIssue('the port is at most 65535')
    return z.NEVER
  })

/** Where mail for a domain goes, instead of its mail exchangers. Without `port` that of `outbound.port`. */
export interface Route {
  readonly host: string
  readonly port?: number
  readonly tls?: 'required' | 'opportunistic' | 'off'
}

const nameServer = z.string().refine((value) => readHostPort(value) !== undefined, {
  error: 'expected an address such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53',
})

const domainName = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i, {
  error: 'expected a domain name',
})

const tls = (what: string) =>
  section(`Certificate of ${what}; read again when the files change. Both files or neither.`, {
    certificateFile: path('PEM chain, own certificate first.'),
    keyFile: path('PEM private key, readable by the gateway alone.'),
  }).refine((value) => (value.certificateFile === undefined) === (value.keyFile === undefined), {
    error: 'needs both certificateFile and keyFile, or neither',
  })

const limitSettings = Object.fromEntries(
  Object.entries(limits).map(([name, limit]) => [name, whole(limit.default, limit.min, limit.max, limit.why)]),
) as { [name in keyof typeof limits]: ReturnType<typeof whole> }

const day = 86_400

export const settings = z
  .strictObject({
    dataDir: fileName.default('data').meta({
      description: 'Everything that must last: store, message bodies, control socket. Back this folder up.',
      format: 'path',
    }),
    hostname: domainName.default('localhost').meta({
      description: 'The public name of this gateway: greeting, EHLO, Message-IDs. Set it before peers see it.',
    }),
    masterKey: section('The key under which everything at rest is sealed.', {
      file: path(
        'A file of 32 random bytes in base64. Default: master.key in dataDir; a secret store elsewhere is better, since a copy of dataDir then opens nothing. DIRECT_GATEWAY_MASTER_KEY may hold the key itself.',
      ),
    }),
    store: section('Where messages, records, keys and queues are kept.', {
      kind: choice(
        ['level', 'postgres'],
        'level',
        'LevelDB in dataDir, for one gateway process; or PostgreSQL, for as many processes as run over one database.',
      ),
      postgres: section('The database of kind postgres.', {
        url: z
          .string()
          .regex(postgresUrl, { error: 'expected postgresql://user@host:5432/database, and the password elsewhere' })
          .optional()
          .meta({
            description:
              'postgresql://user@host:5432/database; several hosts are tried in order until one takes writes. No password in it: it has a file of its own.',
          }),
        passwordFile: path(
          'A file that holds the password and nothing else. Default: PGPASSWORD or PGPASSFILE, as for psql.',
        ),
        schema: z
          .string()
          .regex(/^[a-z_][a-z0-9_]{0,62}$/, { error: 'expected lower-case letters, digits and _' })
          .default('direct_gateway')
          .meta({ description: 'The schema that holds our tables; nothing else may be in it.' }),
        tls: choice(
          ['auto', 'verify-full', 'verify-ca', 'off'],
          'auto',
          'Whether the server must show a certificate: for its name, or any that its authority made. Auto: off to this machine, verify-full to others.',
        ),
        caFile: path('PEM certificates that may vouch for the server. Default: those of the system.'),
        connections: whole(8, 1, 200, 'Connections for reading and claiming; one more writes.'),
        requireStandby: onOff(
          false,
          'Whether to refuse a server without a synchronous standby: then nothing acknowledged is lost with a machine.',
        ),
      }),
    }).refine(({ kind, postgres }) => kind !== 'postgres' || postgres.url !== undefined, {
      error: 'needs postgres.url for kind postgres',
    }),
    blobs: section('Where bodies too large for a row are kept.', {
      kind: choice(
        ['auto', 'files', 'database', 's3'],
        'auto',
        'Files in a directory, chunks in the PostgreSQL database, or objects in an S3 bucket. Auto: files beside LevelDB, chunks in the database beside PostgreSQL.',
      ),
      directory: path(
        'The directory of kind files. Default: blobs in dataDir. Several gateways must share one file system that honours fsync and atomic renames.',
      ),
      s3: section('The bucket of kind s3.', {
        endpoint: z
          .url({ protocol: /^https?$/ })
          .optional()
          .meta({ description: 'https://s3.example.org' }),
        region: text('us-east-1', 'What requests are signed for.'),
        bucket: z.string().min(3).max(63).optional().meta({ description: 'Its name; it must exist.' }),
        prefix: z
          .string()
          .max(200)
          .default('')
          .meta({ description: 'In front of every object name, `gateway/` for instance.' }),
        pathStyle: onOff(true, 'Whether the bucket stands in the path, not in the host name.'),
        accessKeyId: z.string().min(1).optional().meta({ description: 'Default: AWS_ACCESS_KEY_ID.' }),
        secretAccessKeyFile: path('A file that holds the secret key and nothing else. Default: AWS_SECRET_ACCESS_KEY.'),
        caFile: path('PEM certificates that may vouch for the endpoint. Default: those of the system.'),
      }),
    }).refine(({ kind, s3 }) => kind !== 's3' || (s3.endpoint !== undefined && s3.bucket !== undefined), {
      error: 'needs s3.endpoint and s3.bucket for kind s3',
    }),
    smtp: section('Mail from other gateways.', {
      host: text('0.0.0.0', 'Address to listen on.'),
      port: portNumber.default(2525).meta({
        description: 'Not 25, so that no privilege is needed: publish or forward 25 to it. 0 takes a free one.',
      }),
      tls: tls('the SMTP listener, for STARTTLS'),
      idleSeconds: duration('seconds', 60, 3_600, 'Silence before a connection ends. Peers are machines.', 1),
      commandPhaseSeconds: duration(
        'seconds',
        600,
        86_400,
        'All commands between two messages together, so that a byte a minute holds no connection.',
        1,
      ),
      dataBaseSeconds: duration(
        'seconds',
        60,
        3_600,
        'A message in transfer may take this long, plus its bytes divided by limits.dataBytesPerSecond.',
        1,
      ),
      limitLoopback: onOff(false, 'Whether connections from this machine count against the limits per address.'),
    }),
    http: section('API, Message Center, health and metrics.', {
      host: text('127.0.0.1', 'Address to listen on. Without tls below only this machine should reach it.'),
      port: portNumber.default(8080).meta({ description: '0 takes a free one.' }),
      tls: tls('the HTTP listener'),
      metrics: choice(
        ['loopback', 'operator'],
        'loopback',
        'Who may read /metrics: this machine, or holders of an operator token from anywhere.',
      ),
      behindTlsProxy: onOff(
        false,
        'Whether a proxy ends TLS in front, so that plain HTTP may arrive from other hosts.',
      ),
      trustedProxies: z
        .array(z.string().min(1))
        .max(32)
        .default([])
        .meta({ description: 'Addresses or networks of proxies whose X-Forwarded-For is believed.' }),
      publicUrl: z
        .url({ protocol: /^https?$/ })
        .regex(/^https?:\/\/[^/?#]+$/, { error: 'expected https://host, without a path' })
        .refine(isOwnOrigin, { error: 'expected https://host as browsers write it; http is for this machine only' })
        .optional()
        .meta({
          description:
            'Where people and their applications reach it: https://records.clinic.example. Links in letters, the issuer of tokens and passkeys are made of it; http only on this machine. Default: the address it listens on, which serves for trying out alone.',
        }),
    }),
    dns: section('How names are looked up: certificates (CERT), mail exchangers (MX).', {
      servers: z.array(nameServer).max(8).default([]).meta({
        description: 'Name servers as address or address:port, asked in order. Empty: those of the system.',
      }),
      timeoutMs: duration('ms', 5_000, 60_000, 'For one question to one server.', 10),
      attempts: whole(2, 1, 10, 'Rounds over the servers before a name counts as unanswerable.'),
    }),
    fetch: section('Downloads that certificates ask for: revocation lists and issuers.', {
      timeoutMs: duration('ms', 5_000, 60_000, 'For one download.', 10),
      allowPrivateAddresses: onOff(
        false,
        'Whether a certificate may send us to addresses of our own network: a stranger writes these URLs.',
      ),
      refreshSeconds: duration(
        'seconds',
        3_600,
        day,
        'Age at which a revocation list or an answer of a responder is asked for anew, however long it says it is valid: a revocation takes effect here so late at most.',
        1,
      ),
    }),
    discovery: section('Finding certificates of others in DNS and LDAP, where none were imported.', {
      deadlineSeconds: duration(
        'seconds',
        20,
        300,
        'For one address, every place together. What is not known by then is asked again with the next try of the message.',
        1,
      ),
    }),
    trust: section('What a domain demands where its own policy says nothing (`direct-gateway domain set`).', {
      routingTamper: choice(
        ['strict', 'warn'],
        'strict',
        'Refuse or only note a message whose envelope disagrees with its signed header.',
      ),
      allowSha1: onOff(false, 'Accepts signatures over SHA-1: only for a partner that cannot do better yet.'),
      revocation: choice(
        ['soft', 'hard', 'off'],
        'soft',
        'When revocation cannot be learnt: accept with a warning, wait and then refuse, or never ask. A certificate known to be revoked is refused under soft and hard alike.',
      ),
    }),
    undecided: section('When something needed for a verdict cannot answer now.', {
      deadlineSeconds: duration(
        'seconds',
        2_700,
        7 * day,
        'From acceptance to the last try. Below the hour in which senders expect the processed notice.',
        1,
      ),
      retrySeconds: z
        .array(span('seconds', day, 1))
        .min(1)
        .max(32)
        .prefault([10, 30, 60, 120, 300])
        .meta({ description: 'Waits between tries; the last one repeats.' }),
    }),
    inbound: section('Work on accepted messages.', {
      concurrency: whole(
        32,
        1,
        256,
        'Messages judged at once. Worker threads do the arithmetic; more in hand means fewer, fuller syncs of the store.',
      ),
      leaseSeconds: duration('seconds', 120, 3_600, 'A worker that is silent for so long loses its message.', 5),
    }),
    outbound: section('Mail and notices to other gateways.', {
      routes: z.record(domainName, route).prefault({}).meta({
        description: 'Domain to host:port, or to host, port and tls; all other domains go by their mail exchangers.',
      }),
      defaultRoute: route.optional().meta({ description: 'Where all other domains go: a relay instead of MX.' }),
      port: portNumber.default(25).meta({ description: 'Port of mail exchangers, and of routes that name none.' }),
      tls: tlsPolicy.default('opportunistic').meta({
        description:
          'STARTTLS to the next host. Opportunistic is enough for a message that is encrypted itself; required also hides who writes to whom.',
      }),
      scheduleSeconds: z
        .array(span('seconds', day, 1))
        .min(1)
        .max(64)
        .prefault([60, 300, 600, 1_200, 1_800, 3_600])
        .meta({ description: 'Waits between attempts; the last one repeats (RFC 5321 §4.5.4.1).' }),
      lifetimeSeconds: duration('seconds', 4 * day, 30 * day, 'When to give up (RFC 5321 §4.5.4.1).', 60),
      noticeLifetimeSeconds: duration(
        'seconds',
        day,
        30 * day,
        'When to give up on a notice: senders stop waiting within a day.',
        60,
      ),
      attemptSeconds: duration('seconds', 600, 3_600, 'For one attempt, from name to last reply.', 1),
      tlsOf: z.record(domainName, tlsPolicy).prefault({}).meta({
        description: 'Domain to required, opportunistic or off, where a domain goes by its mail exchangers.',
      }),
      concurrency: whole(32, 1, 256, 'Connections to all hosts together.'),
      connectionsPerDomain: whole(2, 1, 64, 'Connections to one destination, so that we are a polite peer.'),
      rsaTransport: choice(
        ['oaep-sha256', 'oaep-sha1', 'pkcs1-v1.5'],
        'oaep-sha256',
        'How the content key is encrypted to RSA keys. Accreditation demands OAEP with SHA-256; a partner that cannot read it gets its own way with `direct-gateway peer encryption`.',
      ),
      contentCipher: choice(
        ['aes-128-cbc', 'aes-192-cbc', 'aes-256-cbc', 'aes-128-gcm', 'aes-192-gcm', 'aes-256-gcm'],
        'aes-256-cbc',
        'What messages are encrypted with. Every Direct gateway reads AES-CBC; few read GCM.',
      ),
    }),
    tracking: section(
      'What senders here are told, and when (Implementation Guide for Delivery Notification in Direct).',
      {
        processedSeconds: duration(
          'seconds',
          3_600,
          7 * day,
          'From submission until a message whose recipient did not say `processed` counts as failed: its copy in the queue is cancelled, and its sender is told.',
          1,
        ),
        dispatchedSeconds: duration(
          'seconds',
          3_600,
          7 * day,
          'The same for `dispatched`, where the sender asked for it.',
          1,
        ),
        alarmAfter: whole(
          3,
          1,
          1_000,
          'Messages in a row that a domain left without a word before an alarm is raised: it may not be able to read what we send.',
        ),
      },
    ),
    edge: section('Systems of our own clinics (EHRs): how they hand mail in, and how they get it.', {
      submission: section(
        'The listener for their mail; it runs where a port is named. TLS first, then AUTH with an account (`direct-gateway account`).',
        {
          host: text('0.0.0.0', 'Address to listen on.'),
          port: portNumber.optional().meta({
            description: 'For STARTTLS; publish or forward 587 to it. Default: none. 0 takes a free one.',
          }),
          implicitTlsPort: portNumber.optional().meta({
            description:
              'For TLS from the first byte (RFC 8314); publish or forward 465 to it. Default: none. 0 takes a free one.',
          }),
          tls: tls('the submission listeners'),
          idleSeconds: duration('seconds', 60, 3_600, 'Silence before a connection ends.', 1),
          commandPhaseSeconds: duration('seconds', 600, 86_400, 'All commands between two messages together.', 1),
          dataBaseSeconds: duration(
            'seconds',
            60,
            3_600,
            'A message in transfer may take this long, plus its bytes divided by limits.dataBytesPerSecond.',
            1,
          ),
          heldMiB: whole(
            256,
            64,
            16_384,
            'Messages in transfer, all together: beyond that a sender is asked to come again.',
          ),
        },
      ).refine(
        ({ port, implicitTlsPort, tls }) =>
          (port === undefined && implicitTlsPort === undefined) || tls.certificateFile !== undefined,
        { error: 'needs submission.tls: nobody says a password in the clear' },
      ),
      systems: z
        .record(
          z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, { error: 'expected a short name: ehr-north' }),
          z.strictObject({
            protocol: z.enum(['smtp', 'lmtp']).default('smtp'),
            host: z.string().min(1),
            port: portNumber.optional(),
            tls: tlsPolicy.default('required'),
            caFile: fileName.optional(),
            username: z.string().min(1).optional(),
            passwordFile: fileName.optional(),
          }),
        )
        .prefault({})
        .meta({
          description:
            'Name to host, port, protocol (smtp or lmtp), tls (required by default), caFile, username and passwordFile. `direct-gateway address edge` says whose mail goes there.',
        }),
      scheduleSeconds: z
        .array(span('seconds', day, 1))
        .min(1)
        .max(64)
        .prefault([15, 60, 300, 600, 1_800])
        .meta({ description: 'Waits between attempts; the last one repeats.' }),
      lifetimeSeconds: duration(
        'seconds',
        4 * day,
        30 * day,
        'When to give up. The message stays in the mailbox of the Message Center either way.',
        1,
      ),
      requestedSeconds: duration(
        'seconds',
        2_700,
        30 * day,
        'The same for mail whose sender asked to be told of its delivery: he counts an hour.',
        1,
      ),
      attemptSeconds: duration('seconds', 120, 3_600, 'For one attempt, from name to last reply.', 1),
      concurrency: whole(16, 1, 256, 'Connections to all systems together.'),
      connectionsPerSystem: whole(4, 1, 64, 'Connections to one of them.'),
      dovecot: section('IMAP and POP3 by a Dovecot beside the gateway, fed over LMTP.', {
        usersFile: path('A passwd-file of our accounts that Dovecot reads, kept in step. Default: none is written.'),
      }),
    }),
    webhooks: section('Telling a program of ours about every step in the life of a message: ids, never content.', {
      endpoints: z
        .record(
          z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, { error: 'expected a short name: ehr-north' }),
          z.strictObject({
            url: z.url({ protocol: /^https?$/ }),
            secretFile: fileName,
            caFile: fileName.optional(),
            steps: z.array(z.string().min(1)).max(64).optional(),
          }),
        )
        .prefault({})
        .meta({
          description:
            'Name to url, secretFile (what deliveries are signed with), steps (which; default all) and caFile. https, or http to this machine.',
        }),
      keepEvents: onOff(
        false,
        'Whether steps are kept for programs that ask (`GET /api/v1/events`) where no endpoint is named. What happens while nobody keeps it is in no replay.',
      ),
      timeoutSeconds: duration('seconds', 10, 60, 'For one delivery.', 1),
      scheduleSeconds: z
        .array(span('seconds', day, 1))
        .min(1)
        .max(64)
        .prefault([5, 30, 120, 600, 1_800, 3_600])
        .meta({ description: 'Waits between tries; the last one repeats. Nothing is skipped.' }),
    }),
    authority: section(
      'Certificates that this gateway issues, once `direct-gateway authority create` made an authority.',
      {
        publicUrl: z
          .url({ protocol: /^http$/ })
          .optional()
          .meta({
            description:
              'Where others fetch its lists and certificates: http://pki.clinic.example, or behind a path. It goes into every certificate; without it they name no place.',
          }),
        files: section('A listener for these files alone, over plain HTTP: what it serves is signed and public.', {
          host: text('0.0.0.0', 'Address to listen on.'),
          port: portNumber.optional().meta({
            description: 'Default: none; then only the HTTP listener serves them, under /pki. 0 takes a free one.',
          }),
        }),
        ownerDays: whole(730, 1, 1_096, 'Life of a certificate: under the three years that trust communities allow.'),
        listDays: whole(7, 1, 90, 'Life of a revocation list; it is made anew after a seventh of that.'),
        policies: z
          .array(z.string().regex(/^[0-2](\.\d+)+$/, { error: 'expected an object identifier such as 1.3.6.1.4.1' }))
          .max(16)
          .default([])
          .meta({ description: 'Certificate policies that its certificates assert.' }),
      },
    ),
    pkcs11: section('Private keys in a token (HSM), where a module is named. Others stay sealed in the store.', {
      module: path('The PKCS#11 library of the token: /usr/lib/softhsm/libsofthsm2.so.'),
      pinFile: path('A file with the PIN of the user and nothing else, readable by the gateway alone.'),
    }).refine(({ module, pinFile }) => (module === undefined) === (pinFile === undefined), {
      error: 'needs both module and pinFile, or neither',
    }),
    publish: section('Our own certificates, for others to find by exact name.', {
      dns: section('An authoritative name server; it runs where zones are named.', {
        host: text(
          '0.0.0.0',
          'Address to listen on, UDP and TCP. On a machine with several, the public one: an answer must leave from where it was asked.',
        ),
        port: portNumber.default(8053).meta({
          description: 'Not 53, so that no privilege is needed: publish or forward 53 to it. 0 takes a free one.',
        }),
        zones: z
          .array(
            z.strictObject({
              name: domainName,
              nameServers: z.array(domainName).min(1).max(13),
              contact: z.string().min(3).max(254),
              ttlSeconds: z.number().int().min(1).max(day).optional(),
              negativeTtlSeconds: z.number().int().min(1).max(day).optional(),
              records: z.array(z.string().min(1).max(2_000)).max(1_000).optional(),
            }),
          )
          .max(1_000)
          .default([])
          .meta({
            description:
              'name, nameServers (the primary first), contact (a mail address), and records as lines of a zone file: `@ MX 10 mail.clinic.example.`',
          }),
      }),
      ldap: section('Entries in an LDAP directory, kept in step; where a URL is named.', {
        url: z
          .url({ protocol: /^ldaps?$/ })
          .optional()
          .meta({ description: 'ldaps://host or ldap://host.' }),
        startTls: onOff(false, 'Whether a connection to ldap:// is encrypted before the password is said.'),
        caFile: path('PEM certificates that may vouch for the server. Default: those of the system.'),
        bindDn: z.string().min(1).optional().meta({ description: 'Who we are: cn=gateway,o=direct.' }),
        passwordFile: path('A file that holds its password and nothing else.'),
        baseDn: z
          .string()
          .min(1)
          .optional()
          .meta({ description: 'A unit that is ours alone: ou=certificates,o=direct.' }),
        everySeconds: duration('seconds', 60, day, 'Between two rounds.', 1),
      }).refine(
        ({ url, bindDn, passwordFile, baseDn }) =>
          url === undefined || (bindDn !== undefined && passwordFile !== undefined && baseDn !== undefined),
        { error: 'needs bindDn, passwordFile and baseDn' },
      ),
    }),
    records: section("Patients' records: what becomes of what documents say, and what leaves again.", {
      reconcile: choice(
        ['review', 'automatic'],
        'review',
        'What becomes of the items of a document, where the patient chose nothing for its sender. automatic adds what is safe to add; conflicts, allergies and documents of other patients always wait for review.',
      ),
      withheldLabels: z.array(z.string().min(1)).default([]).meta({
        description:
          'Security labels (HL7 Confidentiality and DS4P codes, such as R, V or ETH) whose items leave only when the patient picks them one by one.',
      }),
      addresses: whole(3, 0, 50, 'Direct addresses that one record may take where a domain is open to it.'),
      quotaMiB: whole(4_096, 1, 1_048_576, 'What people and applications may put into one record.'),
      custodian: text(
        'The operator of this gateway',
        'The organization that documents written here name as their custodian (CDA R2 §4.2.2.3).',
      ),
    }),
    people: section('People who sign in: patients, and those who care for them.', {
      secondFactor: choice(
        ['required', 'offered'],
        'required',
        'Whether a password alone reaches records. A passkey counts as both factors.',
      ),
      idleSeconds: duration('seconds', 900, day, 'A session that nobody uses ends (45 CFR 170.315(d)(5)).', 1),
      absoluteSeconds: duration('seconds', day / 2, 7 * day, 'Every session ends, used or not.', 60),
      recoveryWaitSeconds: duration(
        'seconds',
        3 * day,
        30 * day,
        'Before somebody who has the mailbox alone recovers an account; its owner is told and can stop it.',
        60,
      ),
      adolescentYears: whole(12, 0, 21, 'From this age on a person can keep parts of a record from custodians.'),
      adultYears: whole(18, 1, 25, 'At this age custodians of a child need the word of whom the record is about.'),
    }),
    connect: section('Pickup codes: Patient Connect and packages left for somebody.', {
      attempts: whole(3, 1, 20, 'Wrong answers for ever; then the code is dead and the clinic makes another.'),
      expirySeconds: duration('seconds', 28 * day, 92 * day, 'A code that nobody used ends.', 60),
      keptSeconds: duration(
        'seconds',
        90 * day,
        3_650 * day,
        'A Patient Connect code works so long after each pickup, and clinics are told of what ended so long.',
        60,
      ),
      answers: choice(
        ['folded', 'exact'],
        'folded',
        'How answers are compared: folded forgives spaces and letter forms of a telephone; exact is as HealthVault was: case does not matter, every space does.',
      ),
      answerCharacters: whole(6, 1, 64, 'The shortest answer that a clinic may choose.'),
      legacyEnvelope: onOff(
        false,
        "Whether packages in HealthVault's own envelope are read. Its encryption is weak: whoever has one guesses the answer in minutes.",
      ),
    }),
    letters: section('Ordinary mail to people: confirmations, invitations, pickups. Never with clinical content.', {
      service: text('Direct Gateway', 'What people know this place as, in letters and on its pages.'),
      from: z.string().min(3).max(320).optional().meta({
        description: 'From of every letter: `Records <no-reply@clinic.example>`. Default: no-reply@ hostname.',
      }),
      relay: section('The mail server that carries them; where a host is named.', {
        host: z
          .string()
          .min(1)
          .optional()
          .meta({ description: 'Without it no letters go out, with an alarm each day.' }),
        port: portNumber.default(587).meta({ description: '587 with starttls, 465 with implicit.' }),
        tls: choice(
          ['starttls', 'implicit', 'off'],
          'starttls',
          'How the connection is encrypted; off only for a relay on this machine.',
        ),
        caFile: path('PEM certificates that may vouch for it. Default: those of the system.'),
        username: z.string().min(1).optional().meta({ description: 'Who we are, where it asks.' }),
        passwordFile: path('A file that holds its password and nothing else.'),
      })
        .refine(({ username, passwordFile }) => (username === undefined) === (passwordFile === undefined), {
          error: 'needs both username and passwordFile, or neither',
        })
        .refine(({ host, tls }) => tls !== 'off' || host === undefined || /^(localhost|127\..*|::1)$/.test(host), {
          error: 'tls off is for a relay on this machine only',
        }),
    }),
    duplicates: section('Recognising a message that is sent again.', {
      horizonDays: whole(7, 1, 90, 'Senders retry for 4 to 5 days (RFC 5321 §4.5.4.1).'),
    }),
    retention: section('How long what nobody needs every day is kept.', {
      quarantineDays: whole(90, 1, 3_650, 'Refused messages, sealed, for judging again once trust is mended.'),
      sentDays: whole(
        365,
        1,
        36_500,
        'What providers sent, once it is at its end for everybody; its trail stays. What patients sent is kept.',
      ),
    }),
    workers: section('Threads that hold private keys and parse documents.', {
      threads: whole(0, 0, 64, '0: one for each core.'),
      memoryMiB: whole(1_024, 128, 16_384, 'Heap of one thread; a document that needs more fails alone.'),
    }),
    shutdown: section('SIGTERM.', {
      graceSeconds: duration(
        'seconds',
        30,
        600,
        'For messages in transfer to finish. The supervisor must wait longer than this before it kills.',
      ),
    }),
    log: section('JSON lines on stderr, never with clinical content.', {
      level: choice(['error', 'warn', 'info', 'silent'], 'info', 'The least that is written.'),
    }),
    limits: section('What a stranger may make grow.', limitSettings),
  })
  .refine(({ store, blobs }) => blobs.kind !== 'database' || store.kind === 'postgres', {
    path: ['blobs', 'kind'],
    error: 'database needs store.kind postgres',
  })
  .refine(({ store, blobs }) => store.kind !== 'postgres' || blobs.kind !== 'files' || blobs.directory !== undefined, {
    path: ['blobs', 'directory'],
    error: 'must be named where several gateways may share it',
  })
  .meta({ title: 'direct-gateway', description: 'Configuration of direct-gateway.' })

/** The whole configuration, checked and with defaults. Times are in the unit of their name. */
export type Config = z.output<typeof settings>
