/** Readers that are wrong, each in one way: what the reader returned is spoilt, and the score has to see it. */

/** The first item that a test accepts. */
const find = (part, test) => {
  const found = part.items.find(test)
  if (found === undefined) throw new Error('the sample has lost what this seed spoils')
  return found
}

const ofType = (type) => (item) => item.content.type === type
const isMissing = (cat) => (score) => score.sections.some(({ missing }) => missing.some((fact) => fact.cat === cat))
const isUnsafe = (name) => (score) => score.safety.some((breach) => breach.name === name)
const isLost = (name) => (score) => score.conservation.some((breach) => breach.name === name)

/** Name, what it does to a part, and every way in which the score must see it. */
export const seeds = [
  ...['allergy', 'problem'].map((type) => ({
    name: `drops the negation of the ${type}`,
    spoil: (part) => {
      find(part, (item) => item.content.type === type && item.negated).negated = false
    },
    seen: [isUnsafe('negated as positive'), isMissing('negation')],
  })),
  {
    name: 'denies what nobody denied',
    spoil: (part) => {
      find(part, (item) => item.content.type === 'allergy' && !item.negated).negated = true
    },
    seen: [isUnsafe('negated as positive'), isMissing('negation')],
  },
  {
    name: 'adds a month and a day to a year',
    spoil: (part) => {
      const { when } = find(part, ofType('medication'))
      when.low = { ...when.low, text: `${when.low.text}-01-01`, precision: 'day' }
    },
    seen: [isUnsafe('precision invented'), isMissing('date')],
  },
  {
    name: 'takes a local time for universal time',
    spoil: (part) => {
      const { when } = find(part, ofType('result'))
      when.value.offsetMinutes = 0
    },
    seen: [isUnsafe('precision invented'), isMissing('date')],
  },
  {
    name: 'renames the unit of a result',
    spoil: (part) => {
      find(part, ofType('result')).content.value.quantity.unit = 'mmol/L'
    },
    seen: [isUnsafe('unit changed'), isMissing('value')],
  },
  {
    name: 'renames the unit of a dose',
    spoil: (part) => {
      find(part, ofType('medication')).content.dose.unit = '[IU]'
    },
    seen: [isUnsafe('unit changed'), isMissing('dose')],
  },
  {
    name: 'rounds a value',
    spoil: (part) => {
      find(part, (item) => item.content.value?.quantity?.value === '4.10').content.value.quantity.value = '4.1'
    },
    seen: [isUnsafe('unit changed'), isMissing('value')],
  },
  {
    name: 'makes up a code',
    spoil: (part) => {
      find(part, ofType('problem')).content.problem.codings[0].code = '1'
    },
    seen: [isUnsafe('code invented'), isMissing('code')],
  },
  {
    name: 'swaps the codes of two problems',
    spoil: (part) => {
      const [a, b] = part.items.filter(ofType('problem'))
      const kept = a.content.problem
      a.content.problem = b.content.problem
      b.content.problem = kept
    },
    seen: [isMissing('date'), isMissing('negation')],
  },
  {
    name: 'drops a code system that it does not know',
    spoil: (part) => {
      const [coding] = find(part, (item) => item.content.substance?.codings[0]?.code === '777').content.substance
        .codings
      delete coding.system
      delete coding.sourceSystem
    },
    seen: [isUnsafe('unknown OID dropped'), isMissing('code')],
  },
  {
    name: 'tells a planned procedure as performed',
    spoil: (part) => {
      find(part, ofType('procedure')).intent = 'performed'
    },
    seen: [isUnsafe('planned as performed'), isMissing('intent')],
  },
  {
    name: 'reopens a problem',
    spoil: (part) => {
      find(part, ofType('problem')).status.folded = 'resolved'
    },
    seen: [isMissing('status')],
  },
  {
    name: 'gives an allergen words that nobody wrote',
    spoil: (part) => {
      find(part, ofType('allergy')).content.substance.text = 'something else'
    },
    seen: [isUnsafe('words invented')],
  },
  {
    name: 'forgets a null flavor',
    spoil: (part) => {
      delete find(part, (item) => item.nullFlavor !== undefined).nullFlavor
    },
    seen: [isUnsafe('null as positive')],
  },
  {
    name: 'loses an entry and what became of it',
    spoil: (part) => {
      part.items.splice(part.items.indexOf(find(part, ofType('medication'))), 1)
      part.entries.splice(6, 1)
    },
    seen: [isMissing('code'), isLost('entry')],
  },
  {
    name: 'loses an item that an entry names',
    spoil: (part) => {
      part.items.splice(part.items.indexOf(find(part, ofType('immunization'))), 1)
    },
    seen: [isMissing('code'), isLost('outcome')],
  },
  {
    name: 'tells of one entry twice',
    spoil: (part) => {
      part.entries.push(part.entries[0])
    },
    seen: [isLost('entry')],
  },
  {
    name: 'gives an item of another document',
    spoil: (part) => {
      find(part, ofType('medication')).provenance.document = '0'.repeat(64)
    },
    seen: [isUnsafe('wrong patient')],
  },
  {
    name: 'gives the demographics of somebody else',
    spoil: (part) => {
      find(part, ofType('demographics')).content.names[0].family = 'Other'
    },
    seen: [isMissing('patient')],
  },
  {
    name: 'credits another author',
    spoil: (part) => {
      for (const item of part.items)
        item.provenance.authors = [{ kind: 'person', text: 'Somebody Else', identifiers: [] }]
    },
    seen: [isMissing('author')],
  },
]

/** The same for the reader of CCRs. */
export const ccrSeeds = [
  {
    name: 'adds a month and a day to a year',
    spoil: (part) => {
      const { when } = find(part, ofType('problem'))
      const bound = when.low ? 'low' : 'value'
      when[bound] = { ...when[bound], text: '1999-01-01', precision: 'day' }
    },
    seen: [isUnsafe('precision invented'), isMissing('date')],
  },
  {
    name: 'renames the unit of a result',
    spoil: (part) => {
      find(part, ofType('result')).content.value.quantity.unit = 'g/L'
    },
    seen: [isUnsafe('unit changed'), isMissing('value')],
  },
  {
    name: 'makes up a code',
    spoil: (part) => {
      find(part, ofType('problem')).content.problem.codings[0].code = '1'
    },
    seen: [isUnsafe('code invented'), isMissing('code')],
  },
  {
    name: 'loses a data object',
    spoil: (part) => {
      part.items.splice(part.items.indexOf(find(part, ofType('problem'))), 1)
      part.entries.splice(0, 1)
    },
    seen: [isMissing('code'), isLost('entry')],
  },
]
