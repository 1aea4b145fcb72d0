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
}

/** Runs each bug's case without it, which must pass, and with it, which must fail; answers whether all did. */
export async function prove(
  measure: Measure,
  groups: readonly Group[],
  run: (group: Group, measure: Measure) => ReturnType<RunGroup>,
  print: (line: string) => void,
): Promise<boolean> {
  let good = true
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
    const without = await once('sound', [])
    const planted = without.passed ? await once('planted', plants) : undefined
    // A harness that broke has caught nothing.
    const caught = planted !== undefined && !planted.passed && !planted.seen.startsWith('the harness broke')
    good &&= caught
    const words = planted ? planted.seen : `fails without it too: ${without.seen}`
    print(`seeded: ${name.padEnd(46)} ${caught ? 'caught' : 'NOT CAUGHT'}  ${caseId}: ${words}`)
  }
  return good
}
