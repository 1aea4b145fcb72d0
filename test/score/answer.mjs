/** The same facts as cda.mjs and ccr.mjs make, told from the record items that the reader returned. */
import { answerMoment, nameKey, systemName, tidy } from './codes.mjs'

const classOf = {
  allergy: 'allergy',
  problem: 'problem',
  medication: 'medication',
  immunization: 'immunization',
  result: 'observation',
  'vital-sign': 'observation',
  'social-history': 'observation',
  'functional-status': 'observation',
  procedure: 'activity',
  plan: 'activity',
  goal: 'activity',
  encounter: 'encounter',
  'family-history': 'family',
  'advance-directive': 'directive',
  insurance: 'insurance',
  device: 'device',
  'care-team': 'care-team',
  note: 'note',
  document: 'document',
}

const subjectField = {
  allergy: 'substance',
  problem: 'problem',
  medication: 'product',
  immunization: 'vaccine',
  result: 'test',
  'vital-sign': 'test',
  'social-history': 'test',
  'functional-status': 'test',
  procedure: 'procedure',
  encounter: 'encounter',
  'family-history': 'relation',
  'advance-directive': 'directive',
  insurance: 'coverage',
  device: 'device',
  goal: 'goal',
  plan: 'activity',
  'care-team': 'kind',
  note: 'kind',
}

export const codingKey = (one) => `${systemName(one.system ?? one.sourceSystem)}|${one.code}`
const keysOf = (concept) => [...new Set((concept?.codings ?? []).map(codingKey))]
export const subjectOf = (content) => content[subjectField[content.type]]

const numberOf = (one) => `${one.comparator ?? ''}${one.value}${one.unit === undefined ? '' : ` ${one.unit}`}`

/** Facts of one item, each with its category. */
export function factsOf(item) {
  const { content } = item
  if (content.type === 'demographics') return patientFacts(item)
  const cls = classOf[content.type]
  const subject = subjectOf(content)
  const keys = keysOf(subject)
  const id = keys[0] ?? '~'
  const facts = []
  const put = (cat, key) => facts.push({ cat, key, path: item.provenance.entry })
  const details = (role, ...concepts) => {
    for (const concept of concepts) for (const key of keysOf(concept)) put('detail', `${role} ${id} ${key}`)
  }
  for (const key of keys) put('code', `code ${cls} ${key}`)
  whenFacts(put, id, item.when)
  if (id !== '~') put('negation', `negated ${id} ${item.negated}`)
  if (id !== '~') put('intent', `intent ${id} ${item.intent ?? 'performed'}`)
  if (id !== '~' && item.status) put('status', `status ${id} ${item.status.folded}`)
  for (const agent of item.provenance.authors) put('author', `author ${agentName(agent)}`)
  tellContent(content, id, put, details)
  return facts
}

/** Given and family where the source took the name apart. */
function agentName(agent) {
  const { name } = agent
  const parts = name ? [...name.given, name.family ?? ''].join(' ') : ''
  return nameKey(parts.trim() === '' ? agent.text : parts)
}

function whenFacts(put, id, when) {
  for (const bound of ['value', 'low', 'high']) {
    const at = answerMoment(when?.[bound])
    if (at !== undefined) put('date', `date ${id} ${bound} ${at}`)
  }
}

function quantity(put, cat, key, one) {
  if (one !== undefined) put(cat, `${key} ${numberOf(one)}`)
}

function valueFacts(put, id, value, role = 'value') {
  switch (value?.kind) {
    case 'quantity':
      return put('value', `${role} ${id} ${numberOf(value.quantity)}`)
    case 'range':
      quantity(put, 'value', `${role} ${id} low`, value.low)
      return quantity(put, 'value', `${role} ${id} high`, value.high)
    case 'ratio':
      quantity(put, 'value', `${role} ${id} numerator`, value.ratio.numerator)
      return quantity(put, 'value', `${role} ${id} denominator`, value.ratio.denominator)
    case 'concept':
      for (const key of keysOf(value.concept)) put('code', `${role} ${id} ${key}`)
      return undefined
    case 'text':
      return put('detail', `${role} ${id} "${tidy(value.text).toLowerCase()}"`)
    case 'boolean':
      return put('value', `${role} ${id} is ${value.value}`)
    case 'date':
      return put('value', `${role} ${id} moment ${answerMoment(value.date)}`)
    case 'period':
      for (const bound of ['low', 'high']) {
        const at = answerMoment(value.when[bound])
        if (at !== undefined) put('value', `${role} ${id} ${bound} ${at}`)
      }
      if (value.when.value) put('value', `${role} ${id} moment ${answerMoment(value.when.value)}`)
      return undefined
    default:
      return undefined
  }
}

const tell = {
  allergy(content, _, __, details) {
    details('kind', content.kind)
    details('severity', content.severity)
    details('criticality', content.criticality)
    for (const one of content.reactions) {
      details('reaction', one.manifestation)
      details('reaction-severity', one.severity)
    }
  },
  problem(content, id, put, details) {
    details('kind', content.kind)
    details('severity', content.severity)
    details('site', ...(content.bodySites ?? []))
    quantity(put, 'value', `age ${id}`, content.ageAtOnset)
  },
  medication(content, id, put, details) {
    const timings = (list) => {
      for (const one of list) {
        quantity(put, 'value', `every ${id}`, one.period)
        quantity(put, 'value', `every-high ${id}`, one.periodHigh)
        if (one.event !== undefined) put('detail', `event ${id} ${one.event}`)
      }
    }
    for (const key of keysOf(content.brand)) put('code', `code medication ${key}`)
    quantity(put, 'dose', `strength ${id}`, content.strength)
    quantity(put, 'dose', `dose ${id}`, content.dose)
    quantity(put, 'dose', `dose ${id} low`, content.doseRange?.low)
    quantity(put, 'dose', `dose ${id} high`, content.doseRange?.high)
    for (const one of content.strengths ?? []) quantity(put, 'dose', `strength ${id}`, one)
    for (const one of content.directions ?? []) {
      quantity(put, 'dose', `dose ${id}`, one.dose)
      quantity(put, 'dose', `dose ${id} low`, one.doseRange?.low)
      quantity(put, 'dose', `dose ${id} high`, one.doseRange?.high)
      details('route', one.route)
      timings(one.timings)
    }
    quantity(put, 'dose', `rate ${id}`, content.rate)
    quantity(put, 'dose', `max ${id} numerator`, content.maxDose?.numerator)
    quantity(put, 'dose', `max ${id} denominator`, content.maxDose?.denominator)
    quantity(put, 'value', `supply ${id}`, content.quantity)
    for (const one of content.supplies ?? []) {
      quantity(put, 'value', `supply ${id}`, one.quantity)
      details('supplied', one.product)
    }
    details('route', content.route)
    details('site', content.site)
    details('form', content.form)
    details('indication', ...content.indications)
    timings(content.timings)
  },
  immunization(content, id, put, details) {
    quantity(put, 'dose', `dose ${id}`, content.dose)
    details('route', content.route)
    details('site', content.site)
    details('refusal', content.refusalReason)
    if (content.lot) put('detail', `lot ${id} ${tidy(content.lot).toLowerCase()}`)
    if (content.manufacturer) put('detail', `maker ${id} ${tidy(content.manufacturer).toLowerCase()}`)
  },
  observation(content, id, put, details) {
    for (const value of [content.value, ...(content.otherValues ?? [])]) valueFacts(put, id, value)
    details('interpretation', ...content.interpretations)
    details('method', content.method)
    details('site', ...(content.bodySites ?? []))
    for (const key of keysOf(content.panel?.code)) put('detail', `panel  ${key}`)
    for (const range of content.referenceRanges) {
      quantity(put, 'value', `range ${id} low`, range.low)
      quantity(put, 'value', `range ${id} high`, range.high)
    }
    for (const one of content.components ?? []) {
      for (const key of keysOf(one.test)) put('code', `code observation ${key}`)
      valueFacts(put, keysOf(one.test)[0] ?? '~', one.value)
    }
  },
  procedure(content, id, put, details) {
    details('site', ...content.bodySites)
    details('device', ...content.devices)
    details('method', ...(content.methods ?? []))
    details('approach', ...(content.approaches ?? []))
    details('indication', ...(content.indications ?? []))
    valueFacts(put, id, content.value)
  },
  encounter(content, _, __, details) {
    details('diagnosis', ...content.diagnoses)
    details('indication', ...(content.indications ?? []))
    details('disposition', content.disposition)
  },
  'family-history'(content, id, put, details) {
    details('gender', content.gender)
    const born = answerMoment(content.birthDate)
    if (born !== undefined) put('date', `born ${id} ${born}`)
    for (const one of content.conditions) {
      const keys = keysOf(one.condition)
      for (const key of keys) {
        put('code', `condition ${key}`)
        put('negation', `relative-negated ${key} ${one.negated}`)
      }
      whenFacts(put, keys[0] ?? '~', one.when)
      quantity(put, 'value', `age ${keys[0] ?? '~'}`, one.ageAtOnset)
    }
  },
  'advance-directive'(content, id, put) {
    valueFacts(put, id, content.value)
  },
  insurance(content, _, put) {
    for (const one of content.memberIdentifiers) if (one.value) put('detail', `member ${one.value}`)
    if (content.payer) put('detail', `payer ${nameKey(content.payer.text)}`)
  },
  device(content, id, put) {
    quantity(put, 'value', `quantity ${id}`, content.quantity)
  },
  goal(content, id, put) {
    valueFacts(put, id, content.target)
  },
  plan(content, id, put) {
    valueFacts(put, id, content.value)
  },
  'care-team'(content, _, put) {
    for (const { agent } of content.members) put('detail', `member ${agentName(agent)}`)
  },
}

function tellContent(content, id, put, details) {
  const row = classOf[content.type] === 'observation' ? 'observation' : content.type
  tell[row]?.(content, id, put, details)
}

function patientFacts({ content, provenance }) {
  const facts = []
  const put = (name, text) => {
    if (text) facts.push({ cat: 'patient', key: `patient ${name} ${tidy(text).toLowerCase()}`, path: provenance.entry })
  }
  for (const name of content.names) {
    for (const given of name.given) put('given', given)
    put('family', name.family)
  }
  const born = answerMoment(content.birthDate)
  if (born !== undefined) facts.push({ cat: 'date', key: `patient born ${born}`, path: provenance.entry })
  for (const [name, concepts] of [
    ['gender', [content.gender]],
    ['marital', [content.maritalStatus]],
    ['religion', [content.religion]],
    ['race', content.races],
    ['ethnicity', content.ethnicities],
  ])
    for (const concept of concepts) for (const key of keysOf(concept)) put(name, key)
  for (const language of content.languages) put('language', language)
  for (const address of content.addresses) {
    for (const line of address.lines) put('line', line)
    put('city', address.city)
    put('state', address.state)
    put('zip', address.postalCode)
    put('country', address.country)
  }
  for (const one of content.telecoms) put('telecom', one.value)
  for (const one of content.identifiers) put('id', `${one.root ?? ''} ${one.value ?? ''}`)
  return facts
}
