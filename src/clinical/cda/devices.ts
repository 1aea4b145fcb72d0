import type { Device, RecordItem } from '../../direct/clinical.js'
import type { Concept, PartialDate, Quantity } from '../../direct/datatypes.js'
import { child, childrenOf, descend, textOf, type XmlNode } from '../../xml/node.js'
import { type Place, placeAt, placesIn } from '../place.js'
import {
  given,
  materialOf,
  nothing,
  readConcept,
  readIdentifiers,
  readNamed,
  readQuantity,
  readText,
  readTime,
  readWhen,
  relatedStatements,
  says,
  words,
} from './datatypes.js'
import { nestedIn, type ReadStatement } from './nested.js'
import { at, type Scope } from './scope.js'
import { isSpecimen } from './specimens.js'
import { emit, intentOf, withNarrative } from './statement.js'
import { actStatus, foldConcept } from './status.js'
import { isA, templates } from './templates.js'
import { parseUdi, udiRoots } from './udi.js'

const column = /device|equipment|implant|supply|item|name|description|type/i

/**
 * One item for each product instance of a supply (C-CDA 22.4.50, CCD R1 1.34), else one for what is supplied. An organizer
 * of medical equipment (22.4.135) holds supplies and procedures, each read by itself.
 */
export function readDevice(scope: Scope, nested: ReadStatement): number {
  const { node } = scope.place
  if (node.local === 'organizer') return nestedIn(scope).reduce((made, inner) => made + nested(inner), 0)
  const roles = productsOf(scope.place)
  const [only] = roles
  if (roles.length > 1) return roles.reduce((made, role) => made + emitDevice(scope, role, role), 0)
  return emitDevice(scope, only, scope.place)
}

/**
 * The devices that a procedure put in, used or took out, each an item beside the procedure (C-CDA 22.4.37, Product Instance);
 * their concepts go into the procedure. What denies the procedure denies its devices.
 */
export function readProcedureDevices(scope: Scope): Concept[] {
  const concepts: Concept[] = []
  for (const role of productsOf(scope.place)) {
    const { content } = deviceOf(scope, role, role)
    if (says(content.device)) concepts.push(content.device)
    // A kind of device without anything that tells one piece from another is no more than the procedure says already.
    if (content.udi !== undefined || content.serial !== undefined || content.lot !== undefined || isInstance(role.node))
      emitDevice(scope, role, role)
  }
  return concepts
}

function isInstance(role: XmlNode): boolean {
  return isA(role, templates.productInstance)
}

/** Roles of products and devices: participants typed PRD or DEV, and any that is a product instance. */
function productsOf(place: Place): Place[] {
  const found: Place[] = []
  for (const participant of placesIn(place, 'participant')) {
    const role = placeAt(participant, 'participantRole')
    if (role === undefined || isSpecimen(role.node)) continue
    const type = given(participant.node, 'typeCode')
    if (type === 'PRD' || type === 'DEV' || isInstance(role.node)) found.push(role)
  }
  return found
}

function emitDevice(scope: Scope, role: Place | undefined, as: Place): number {
  const { node } = scope.place
  const { content, status } = deviceOf(scope, role, as)
  const intent = intentOf(node)
  return emit(at(scope, as), {
    content,
    subject: subjectOf(content),
    when: readWhen(scope, child(node, 'effectiveTime')),
    status: status ?? actStatus(scope, node, intent === 'planned'),
    intent,
    within: [node],
  })
}

/** A device without code or words is known by what is printed on it. */
function subjectOf({ device, udi, model, brand }: Device): Concept {
  const text = brand ?? model ?? udi
  return says(device) || text === undefined ? device : { ...device, codings: [], text }
}

type Status = NonNullable<RecordItem['status']>

function deviceOf(scope: Scope, role: Place | undefined, as: Place): { content: Device; status?: Status } {
  const { node } = scope.place
  const playing = child(role?.node, 'playingDevice') ?? child(role?.node, 'playingEntity')
  const udi = udiOf(role?.node)
  const organizer = organizerOf(node, role?.node, udi)
  const told = organizer === undefined ? {} : partsOf(scope, organizer)
  const { safety, status, ...printed } = told
  const manufacturer =
    printed.manufacturer ??
    words(scope, textOf(descend(role?.node, 'scopingEntity', 'desc'))) ??
    words(scope, textOf(descend(node, 'product', 'manufacturedProduct', 'manufacturerOrganization', 'name')))
  const model = printed.model ?? readText(scope, child(playing, 'manufacturerModelName'))
  const quantity: Quantity | undefined = as === role ? undefined : readQuantity(child(node, 'quantity'))
  return {
    content: {
      type: 'device',
      device: conceptOf(scope, playing, as === role),
      ...(udi === undefined ? {} : { udi }),
      ...(udi === undefined ? {} : parseUdi(udi)),
      ...printed,
      ...(manufacturer === undefined ? {} : { manufacturer }),
      ...(model === undefined ? {} : { model }),
      ...(quantity === undefined ? {} : { quantity }),
      bodySites: childrenOf(node, 'targetSiteCode')
        .map((site) => readNamed(scope, site))
        .filter((site) => site !== undefined),
      ...(safety === undefined || safety.length === 0 ? {} : { safety }),
    },
    ...(status === undefined ? {} : { status }),
  }
}

/** What the device is: of the instance, else the product, else of the supply itself and its words. */
function conceptOf(scope: Scope, playing: XmlNode | undefined, own: boolean): Concept {
  const { node } = scope.place
  const code = readConcept(scope, child(playing, 'code'), column)
  if (says(code)) return code
  const name = words(scope, textOf(child(playing, 'name')))
  if (name !== undefined) return { ...code, codings: [], text: name }
  if (own) return code ?? nothing
  const material = materialOf(child(node, 'product'))
  const product = readConcept(scope, child(material, 'code'), column)
  if (says(product)) return product
  const named = words(scope, textOf(child(material, 'name')))
  if (named !== undefined) return { codings: [], text: named }
  const supplied = readConcept(scope, child(node, 'code'), column)
  const text = withNarrative(scope, supplied, node, column)
  return says(text) ? text : (code ?? product ?? supplied ?? nothing)
}

/** The whole identifier as written, under the root of the FDA or of an issuing agency. */
function udiOf(role: XmlNode | undefined): string | undefined {
  if (role === undefined) return undefined
  return readIdentifiers(role).find((id) => id.value !== undefined && udiRoots.has(id.root ?? ''))?.value
}

/** The UDI organizer of a device: the one with its id, else the only one. */
function organizerOf(statement: XmlNode, role: XmlNode | undefined, udi: string | undefined): XmlNode | undefined {
  const organizers = relatedStatements(statement).filter(
    (one) => one.local === 'organizer' && (isA(one, templates.udiOrganizer) || hasCode(one, '74711-3')),
  )
  const ids = new Set((role === undefined ? [] : readIdentifiers(role)).map(({ root, value }) => `${root}|${value}`))
  const same = organizers.find((one) => readIdentifiers(one).some(({ root, value }) => ids.has(`${root}|${value}`)))
  const foreign = organizers.length === 1 && udi !== undefined && udiOf(organizers[0]) !== undefined
  return same ?? (organizers.length === 1 && !foreign ? organizers[0] : undefined)
}

function hasCode(node: XmlNode, code: string): boolean {
  return given(child(node, 'code'), 'code') === code
}

type Printed = Omit<Partial<Device>, 'type' | 'device'> & { readonly status?: Status }

/** The observations of a UDI organizer, known by their codes of the NCI Thesaurus (C-CDA 22.4.301 to .319). */
function partsOf(scope: Scope, organizer: XmlNode): Printed {
  const values = new Map<string, XmlNode>()
  for (const component of childrenOf(organizer, 'component')) {
    const observation = child(component, 'observation')
    const code = given(child(observation, 'code'), 'code')
    const value = child(observation, 'value')
    if (code !== undefined && value !== undefined && !values.has(code)) values.set(code, value)
  }
  const text = (code: string): string | undefined => readText(scope, values.get(code))
  const date = (code: string): PartialDate | undefined => readTime(scope, values.get(code))
  const coded = (code: string): Concept | undefined => readNamed(scope, values.get(code))
  const status = coded('C160939')
  const parts = {
    deviceIdentifier: given(values.get('C101722'), 'extension') ?? text('C101722'),
    lot: text('C101672'),
    serial: text('C101671'),
    manufacturedAt: date('C101669'),
    expiresAt: date('C101670'),
    distinctIdentifier: given(values.get('C113843'), 'extension') ?? text('C113843'),
    brand: text('C71898'),
    model: text('C99285'),
    manufacturer: text('C54131'),
    status: status && statusOf(status),
  }
  const safety = [coded('C106044'), coded('C160938')].filter((one) => one !== undefined)
  return { ...(present(parts) as Printed), safety }
}

function statusOf(concept: Concept): Status {
  const source = concept.text ?? concept.codings[0]?.code
  return { folded: foldConcept(concept), ...(source === undefined ? {} : { source }), concept }
}

/** The fields that have a value. */
function present<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>
}
