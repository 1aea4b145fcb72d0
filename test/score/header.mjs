/** Facts of the header of a CDA document: the patient, who cared, the encounter it is about (US Realm Header 22.1.1). */
import { moment, nameKey, tidy } from './codes.mjs'
import { authorFacts, codeKeys, collector, detail, idKey, namesOf, tell, whenFacts } from './facts.mjs'
import { attr, down, elements, every, kid, kids, walk, words } from './tree.mjs'

/** Demographics of the first recordTarget (US Realm Header 22.1.1). */
export function header(document) {
  const out = collector(undefined, 'header', document)
  const role = down(document.root, 'recordTarget', 'patientRole')
  const patient = kid(role, 'patient')
  if (role === undefined) return out
  const put = (name, text, optional = false) => {
    if (text !== undefined && text !== '')
      out.put('patient', role.path, [`patient ${name} ${tidy(text).toLowerCase()}`], optional)
  }
  for (const name of kids(patient, 'name')) {
    for (const given of kids(name, 'given')) put('given', words(given))
    for (const last of kids(name, 'family')) put('family', words(last))
  }
  const birth = moment(attr(kid(patient, 'birthTime'), 'value'))
  if (birth !== undefined) out.put('date', role.path, [`patient born ${birth}`])
  for (const [name, nodes] of [
    ['gender', kids(patient, 'administrativeGenderCode')],
    ['marital', kids(patient, 'maritalStatusCode')],
    ['religion', kids(patient, 'religiousAffiliationCode')],
    [
      'race',
      [
        ...kids(patient, 'raceCode'),
        ...elements(patient).filter((one) => one.ns !== patient.ns && one.local === 'raceCode'),
      ],
    ],
    [
      'ethnicity',
      [
        ...kids(patient, 'ethnicGroupCode'),
        ...elements(patient).filter((one) => one.ns !== patient.ns && one.local === 'ethnicGroupCode'),
      ],
    ],
  ])
    for (const key of codeKeys(...nodes)) put(name, key)
  for (const language of kids(patient, 'languageCommunication'))
    put('language', attr(kid(language, 'languageCode'), 'code'))
  for (const address of kids(role, 'addr')) {
    const loose = address.kids.filter((one) => typeof one === 'string').join(' ')
    put('line', loose, true)
    for (const [name, part] of [
      ['line', 'streetAddressLine'],
      ['city', 'city'],
      ['state', 'state'],
      ['zip', 'postalCode'],
      ['country', 'country'],
    ])
      for (const one of kids(address, part)) put(name, words(one))
  }
  for (const one of kids(role, 'telecom')) if (attr(one, 'nullFlavor') === undefined) put('telecom', attr(one, 'value'))
  for (const one of kids(role, 'id'))
    if (attr(one, 'nullFlavor') === undefined) put('id', `${attr(one, 'root') ?? ''} ${attr(one, 'extension') ?? ''}`)
  encompassing(out, document)
  careGivers(out, document)
  return out
}

/** Who cared for the patient (documentationOf/serviceEvent/performer): the header's care team. */
function careGivers(out, document) {
  for (const event of every(document.root, 'documentationOf', 'serviceEvent')) {
    const performers = kids(event, 'performer')
    for (const performer of performers) {
      const assigned = kid(performer, 'assignedEntity')
      const names = namesOf(assigned)
      const company = words(down(assigned, 'representedOrganization', 'name'))
      if (names.length > 0)
        out.put(
          'detail',
          performer.path,
          names.map((name) => `member ${name}`),
        )
      if (company !== '') out.put('detail', performer.path, [`member ${nameKey(company)}`], true)
    }
    if (performers.length === 0) continue
    for (const time of kids(event, 'effectiveTime')) whenFacts(out, event.path, '~', time, true)
    authorFacts(out, event, true)
  }
}

/**
 * The encounter that the document is about (componentOf). One that an entry describes too, by id, stands with that entry;
 * one without a code says only when.
 */
function encompassing(out, document) {
  const node = down(document.root, 'componentOf', 'encompassingEncounter')
  if (node === undefined) return
  const ids = new Set(kids(node, 'id').map(idKey))
  const twin = [...walk(document.root)].some(
    (one) => one.local === 'encounter' && kids(one, 'id').some((id) => ids.has(idKey(id))),
  )
  const keys = codeKeys(kid(node, 'code'))
  const { id, free } = tell(out, node, ['encounter'], kids(node, 'code'), { optional: twin || keys.length === 0 })
  detail(out, node.path, 'disposition', id, kids(node, 'dischargeDispositionCode'), free)
}
