import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { copyProduct, type Plant } from '../torture/product.js'
import type { Group } from './cases.js'
import type { Finding, Measure, RunGroup } from './finding.js'

/** Bugs that the cases must see, each in a copy of the built gateway, each with the case that is there to see it. */
interface Bug {
  readonly group: Group
  readonly caseId: string
  readonly plants: readonly Plant[]
}

const bugs: Readonly<Record<string, Bug>> = {
  'ignores revocation': {
    group: 'receiving',
    caseId: 'RCV-DT-ExceptionPathRevokedCert',
    plants: [
      {
        file: 'trust/judge.js',
        find: "if (answer.kind === 'revoked')\n            return {",
        put: "if (answer.kind === 'revoked')\n            continue;\n        if (answer.kind === 'nothing')\n            return {",
      },
    ],
  },
  'says dispatched unasked': {
    group: 'receiving',
    caseId: 'RCV-DT-HappyPathTextOnly',
    plants: [
      {
        file: 'notices/mdn.js',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of the compiled file
        find: 'MDN-sent-automatically;${mdn.disposition}',
        put: 'MDN-sent-automatically;dispatched',
      },
    ],
  },
  'passes over an invalid address certificate': {
    group: 'discovery',
    caseId: 'DISC-D5',
    plants: [
      {
        file: 'resolve/discovery.js',
        find: '[...spellings(address), domain]',
        put: '[domain, ...spellings(address)]',
      },
    ],
  },
  'takes a bundle that nobody signed': {
    group: 'bundles',
    caseId: 'BUNDLE-P7M',
    plants: [
      {
        file: 'pipeline/bundle-content.js',
        find: 'const pinned = signer && readCertificate(signer);',
        put: 'const pinned = undefined;',
      },
    ],
  },
  'tells addresses apart that are not published': {
    group: 'hosting',
    caseId: 'HOST-H1',
    plants: [
      {
        file: 'publish/answer.js',
        find: "const rcode = found.kind === 'nothing' ? rcodes.NXDOMAIN : rcodes.NOERROR;",
        put: 'const rcode = rcodes.NOERROR;',
      },
    ],
  },
  'offers a password before TLS': {
    group: 'smtp',
    caseId: 'SMTP-PLAINTEXT',
    plants: [
      {
        file: 'smtp/server.js',
        find: "return secure && role.authenticate ? disabled : [...disabled, 'AUTH'];",
        put: "return role.authenticate ? disabled : [...disabled, 'AUTH'];",
      },
    ],
  },
  'takes lines that end in LF alone': {
    group: 'smtp',
    caseId: 'DT-SMTP-InvalidData',
    plants: [{ file: 'smtp/wire.js', find: 'const firstLf = chunk.indexOf(lf, at);', put: 'const firstLf = end + 1;' }],
  },
  'changes a byte of each attachment': {
    group: 'smtp',
    caseId: 'SMTP-25a',
    plants: [
      {
        file: 'pipeline/handed-in.js',
        find: 'to: recipients, message, by:',
        put: "to: recipients, message: Buffer.from(Buffer.from(message).toString('latin1').replace(/[a-z](?=[^\\s-]{75}\\r)/, 'Z'), 'latin1'), by:",
      },
    ],
  },
  'leaves who was disabled in the accounts file': {
    group: 'imap-pop',
    caseId: 'DT-IMAP-ExceptionPathInvalidLogin',
    plants: [
      {
        file: 'publish/dovecot.js',
        find: '(await currentText(usersFile)) !== text',
        put: '!(await currentText(usersFile))?.includes(text)',
      },
    ],
  },
  'forwards a dispatched notice that comes too late': {
    group: 'tracking',
    caseId: 'MT28a',
    plants: [
      {
        file: 'pipeline/answers.js',
        find: "if (before.state === 'failed' || before.state === 'dispatched')",
        put: "if (before.state === 'failed')\n        return { submission, outcome: 'late', shown: true };\n    if (before.state === 'dispatched')",
      },
    ],
  },
  'tells a failure twice': {
    group: 'tracking',
    caseId: 'MT3',
    plants: [
      {
        file: 'pipeline/report.js',
        find: 'parts.push(await report(submission, one, at, address, ports));',
        put: "for (const id of [submission.id, [...submission.id].reverse().join('')])\n            parts.push(await report({ ...submission, id }, one, at, address, ports));",
      },
    ],
  },
  'gives up before the time is over': {
    group: 'tracking',
    caseId: 'MT4',
    plants: [
      {
        file: 'pipeline/deadlines.js',
        find: "asks === 'dispatched' ? Math.min(policy.processedMs, policy.dispatchedMs) : policy.processedMs",
        put: 'policy.processedMs / 3',
      },
      {
        file: 'pipeline/deadlines.js',
        find: 'submittedAt + policy.processedMs,',
        put: 'submittedAt + policy.processedMs / 3,',
      },
    ],
  },
  'takes the request for confirmation out': {
    group: 'tracking',
    caseId: 'MT21a',
    plants: [{ file: 'pipeline/submit.js', find: '...(wishesKept ? [] : wishes)', put: '...wishes' }],
  },
  'finds what a notice answers by its From': {
    group: 'mdn',
    caseId: 'MDN-different_sender',
    plants: [
      {
        file: 'pipeline/answers.js',
        find: 'const names = named.length > 0 ? named : [from];',
        put: 'const names = [from];',
      },
    ],
  },
  'lets every token in everywhere': {
    group: 'regulatory',
    caseId: 'REG-d1',
    plants: [
      { file: 'api/authentication.js', find: 'if (request.caller.scopes.includes(scope))', put: 'if (request.caller)' },
    ],
  },
  'opens the records of others': {
    group: 'regulatory',
    caseId: 'REG-d1',
    plants: [
      {
        file: 'api/access.js',
        find: 'const membership = await people?.records.membership(reach.person, named);',
        put: "const membership = (await people?.records.membership(reach.person, named)) ?? { rules: 'all', custodian: true, record: {} };",
      },
    ],
  },
  'does not tell of looking at a record': {
    group: 'regulatory',
    caseId: 'REG-d2',
    plants: [{ file: 'api/route.js', find: 'if (left.audit)', put: "if (left.audit && spec.method !== 'GET')" }],
  },
  'does not compare links of the log': {
    group: 'regulatory',
    caseId: 'REG-d2v',
    plants: [
      {
        file: 'audit/audit.js',
        find: 'if (entry.link.length !== link.length || !timingSafeEqual(link, entry.link))',
        put: 'if (false)',
      },
    ],
  },
  'does not miss what was cut off': {
    group: 'regulatory',
    caseId: 'REG-d2v',
    plants: [{ file: 'audit/audit.js', find: 'if (missing.length > 0)', put: 'if (false)' }],
  },
  'reports beyond the period': {
    group: 'regulatory',
    caseId: 'REG-d3',
    plants: [{ file: 'audit/report.js', find: 'if (to !== undefined && entry.at >= to)', put: 'if (false)' }],
  },
  'sorts one way alone': {
    group: 'regulatory',
    caseId: 'REG-d3',
    plants: [{ file: 'audit/report.js', find: '(descending ? -1 : 1)', put: '1' }],
  },
  'keeps sessions that rest': {
    group: 'regulatory',
    caseId: 'REG-d5',
    plants: [
      {
        file: 'people/sessions.js',
        find: 'return now < endsAt && now - seenAt < idleMs;',
        put: 'return now < endsAt;',
      },
    ],
  },
  'keeps sessions for ever that are used': {
    group: 'regulatory',
    caseId: 'REG-d5',
    plants: [
      {
        file: 'people/sessions.js',
        find: 'return now < endsAt && now - seenAt < idleMs;',
        put: 'return now - seenAt < idleMs;',
      },
    ],
  },
  'takes any bytes for an upload': {
    group: 'regulatory',
    caseId: 'REG-d8',
    plants: [
      {
        file: 'api/routes/blobs.js',
        find: "throw new Problem('hash-mismatch', {}, undefined, 111);",
        put: 'return {};',
      },
    ],
  },
  'does not compare the hashes of a package': {
    group: 'regulatory',
    caseId: 'REG-d8',
    plants: [
      { file: 'clinical/xdm/read.js', find: 'if (hash !== undefined && hash !==', put: 'if (false && hash !==' },
    ],
  },
  'speaks TLS 1.1': {
    group: 'regulatory',
    caseId: 'REG-d9',
    plants: [
      { file: 'ports/tls.js', find: "minVersion: 'TLSv1.2'", put: "minVersion: 'TLSv1'" },
      { file: 'ports/tls.js', find: "].join(':')", put: "'ECDHE-RSA-AES128-SHA', '@SECLEVEL=0'].join(':')" },
    ],
  },
  'takes ChaCha20 for mail': {
    group: 'regulatory',
    caseId: 'REG-d9',
    plants: [
      {
        file: 'smtp/server.js',
        find: '...serverTls,',
        put: "...serverTls, ciphers: serverTls.ciphers + ':TLS_CHACHA20_POLY1305_SHA256',",
      },
    ],
  },
  'does not tell where a record went': {
    group: 'regulatory',
    caseId: 'REG-e1',
    plants: [{ file: 'pipeline/transmit.js', find: 'addressee:', put: 'addressed:' }],
  },
  'sends by plain mail unasked': {
    group: 'regulatory',
    caseId: 'REG-e1',
    plants: [{ file: 'api/routes/transmit.js', find: 'if (!unprotectedAcknowledged)', put: 'if (false)' }],
  },
  'encrypts in the old way unasked': {
    group: 'sending',
    caseId: 'SEND-DT-ENC',
    plants: [
      { file: 'config/settings.js', find: "'pkcs1-v1.5'], 'oaep-sha256',", put: "'pkcs1-v1.5'], 'pkcs1-v1.5'," },
      { file: 'smime/policy.js', find: "rsaTransport: 'oaep-sha256'", put: "rsaTransport: 'pkcs1-v1.5'" },
    ],
  },
}

/** Runs each bug's case without it, which must pass, and with it, which must fail; answers whether all did. */
export async function prove(
  measure: Measure,
  groups: readonly Group[],
  run: (group: Group, measure: Measure) => ReturnType<RunGroup>,
  print: (line: string) => void,
): Promise<boolean> {
  let good = true
  const sound = new Map<string, Finding>()
  for (const [name, { group, caseId, plants }] of Object.entries(bugs)) {
    if (!groups.includes(group)) continue
    const home = join(measure.home, name.replaceAll(' ', '-'))
    mkdirSync(home, { recursive: true })
    const once = async (what: string, planted: readonly Plant[]): Promise<Finding> => {
      const program = join(copyProduct(home, what, planted), 'main.js')
      const own = {
        ...measure,
        home: join(home, `run-${what}`),
        program,
        only: new Set([caseId]),
        peers: 'own' as const,
      }
      const [found] = await run(group, own)
      return found ?? { id: caseId, passed: false, seen: 'was not run' }
    }
    // Several bugs of one case share the run without any.
    const without = sound.get(caseId) ?? (await once('sound', []))
    sound.set(caseId, without)
    const planted = without.passed ? await once('planted', plants) : undefined
    // A harness that broke has caught nothing.
    const caught = planted !== undefined && !planted.passed && !planted.seen.startsWith('the harness broke')
    good &&= caught
    const words = planted ? planted.seen : `fails without it too: ${without.seen}`
    print(`seeded: ${name.padEnd(46)} ${caught ? 'caught' : 'NOT CAUGHT'}  ${caseId}: ${words}`)
  }
  return good
}
