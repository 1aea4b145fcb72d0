import type { Agent, Concept } from '../../direct/datatypes.js'
import { child, childrenOf, descend, textOf, type XmlNode } from '../../xml/node.js'
import { codeSystemOfOid } from '../codesystems.js'
import type { DocumentHead } from '../reading.js'
import { readAgent, readOrganization } from './agents.js'
import { given, readIdentifiers, readNamed, readWhen, words } from './datatypes.js'
import { confidentialityOf, distinct } from './labels.js'
import type { Scope } from './scope.js'

/** What the header says of the document: title, code, time, people, custodian, version and the documents it is related to. */
export function headOf(scope: Scope): DocumentHead {
  const { node } = scope.cda.root
  const title = words(scope, textOf(child(node, 'title')))
  const code = readNamed(scope, child(node, 'code'))
  const when = readWhen(scope, child(node, 'effectiveTime'))
  const { recordedAt, authors, informants } = scope.authorship
  const custodian = readOrganization(
    scope,
    descend(node, 'custodian', 'assignedCustodian', 'representedCustodianOrganization'),
  )
  const [set] = readIdentifiers(node, 'setId')
  const versionNumber = given(child(node, 'versionNumber'), 'value')
  const related = relatedOf(node)
  const authenticators = authenticatorsOf(scope, node)
  const labels = distinct([...(confidentialityOf(scope, node) ?? []), ...scope.cda.documentLabels])
  return {
    ...(title === undefined ? {} : { title }),
    ...(code === undefined ? {} : { code }),
    ...(when === undefined ? {} : { when }),
    ...(recordedAt === undefined ? {} : { recordedAt }),
    authors,
    ...(informants === undefined ? {} : { informants }),
    identifiers: readIdentifiers(node),
    ...(custodian === undefined ? {} : { custodian }),
    ...(set === undefined ? {} : { set }),
    ...(versionNumber === undefined ? {} : { versionNumber }),
    ...(related.length === 0 ? {} : { related }),
    ...(authenticators.length === 0 ? {} : { authenticators }),
    ...(labels.length === 0 ? {} : { labels }),
  }
}

/** Documents that this one replaces, amends or transforms (CDA R2 §4.2.3.1); a related document without id says nothing. */
function relatedOf(node: XmlNode): NonNullable<DocumentHead['related']> {
  return childrenOf(node, 'relatedDocument')
    .slice(0, mostRelated)
    .map((related) => ({
      kind: given(related, 'typeCode') ?? 'RPLC',
      identifiers: childrenOf(related, 'parentDocument').flatMap((parent) => readIdentifiers(parent)),
    }))
    .filter((related) => related.identifiers.length > 0)
}

const mostRelated = 32

/** Who signed for the document: the legal authenticator first; the role says which, before what the person is. */
function authenticatorsOf(scope: Scope, node: XmlNode): Agent[] {
  const found: Agent[] = []
  for (const [local, code] of [
    ['legalAuthenticator', 'LA'],
    ['authenticator', 'AUTHEN'],
  ] as const) {
    for (const one of childrenOf(node, local).slice(0, scope.cda.reading.limits.agents)) {
      const agent = readAgent(scope, one)
      if (agent !== undefined) found.push({ ...agent, role: participationRole(code, agent.role) })
    }
  }
  return found
}

const participationTypes = '2.16.840.1.113883.5.90'

function participationRole(code: string, role: Concept | undefined): Concept {
  const { uri } = codeSystemOfOid(participationTypes)
  const coding = { ...(uri === undefined ? {} : { system: uri }), code, sourceSystem: participationTypes }
  return { ...role, codings: [coding, ...(role?.codings ?? [])] }
}
