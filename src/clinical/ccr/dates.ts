import type { When } from '../../direct/datatypes.js'
import { child, childrenOf, type XmlNode } from '../../xml/node.js'
import { type CcrScope, textAt } from './scope.js'
import { readMoment } from './types.js'

/** Labels of the DateTime elements of an object, as HealthVault's CCR vocabularies list them. */
export const dateLabels = {
  begin:
    'onset date|date of onset|start date|begin date|since age|from age|onset|from date|started|initial occurrence|administration date|effective date',
  end: 'end date|stop date|ended|to date|stopped|date resolved|resolved|resolution date|date inactivated',
  given: 'immunization date|administration date|administered|start date|vaccination date',
  observed:
    'collection start date|collection date time|collection time|collection date|measurement start date|measurement time|assessment time|assessment date|performed|observation date',
  done: 'performed|start date|procedure date|occurred|service date|date performed',
  met: 'encounter date|occurred|appointment date|scheduled date|start date|admission date',
  written:
    'prescription date|prescribed date|date prescribed|prescribed|recorded date|date recorded|recorded|last modified',
} as const

function labelled(scope: CcrScope, labels: string): XmlNode | undefined {
  const wanted = labels.split('|')
  return childrenOf(scope.place.node, 'DateTime').find((one) => {
    const label = textAt(child(one, 'Type'), 'Text')?.toLowerCase()
    return label !== undefined && wanted.includes(label)
  })
}

/** The only DateTime of an object, where it has no label. */
function unlabelled(scope: CcrScope): XmlNode | undefined {
  const dates = childrenOf(scope.place.node, 'DateTime')
  const [only] = dates
  return dates.length === 1 && only && textAt(child(only, 'Type'), 'Text') === undefined ? only : undefined
}

/** Onset and end of something that lasts. One date without label is the onset; one range without label is both. */
export function readSpan(scope: CcrScope): When | undefined {
  const begin = readMoment(scope, labelled(scope, dateLabels.begin) ?? unlabelled(scope))
  const end = readMoment(scope, labelled(scope, dateLabels.end))
  const low = begin?.value ?? begin?.low
  const high = end?.value ?? end?.high ?? begin?.high
  const text = [begin?.text, end?.text].filter((one) => one !== undefined).join(' / ')
  const when: When = {
    ...(low === undefined ? {} : { low }),
    ...(high === undefined ? {} : { high }),
    ...(text === '' ? {} : { text }),
  }
  return Object.keys(when).length === 0 ? undefined : when
}

/** When something happened: the date with one of these labels, else the only one without. */
export function readDate(scope: CcrScope, labels: string): When | undefined {
  return readMoment(scope, labelled(scope, labels) ?? unlabelled(scope))
}

/** When the source wrote it down, where it says so. */
export function readWritten(scope: CcrScope): When | undefined {
  return readMoment(scope, labelled(scope, dateLabels.written))
}
