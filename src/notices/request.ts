import type { DirectAddress } from '../direct/address.js'
import { soleMailboxOf } from '../mime/addresses.js'
import type { Header } from '../mime/header.js'
import { finalDeliveryField } from './mdn.js'

/** What the sender of a message asks to be told. */
export interface NoticeRequest {
  /** Disposition-Notification-To, where it is one field with one plain address. */
  readonly notifyTo?: DirectAddress
  /** Final delivery is to be confirmed by a `dispatched` notice. */
  readonly finalDelivery: boolean
  /** The sender tried to ask for it, and why it does not count; for the trail. */
  readonly fault?: string
}

/**
 * Reads Disposition-Notification-To and Disposition-Notification-Options (RFC 8098 §2.1 and §2.2) of the signed message.
 * Final delivery counts as asked for only by `X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true` in the one options field
 * of a message that also names where to notify (Delivery Notification IG §1.3); letter case and space do not matter.
 * Anything else, from a mistyped name to a second value, means `processed` only.
 */
export function noticeRequestOf(header: Header): NoticeRequest {
  const to = soleMailboxOf(header, 'disposition-notification-to')
  const notify = to.kind === 'mailbox' ? { notifyTo: to.address } : {}
  const options = header.all('disposition-notification-options')
  const [value] = options
  if (value === undefined) return { ...notify, finalDelivery: false }
  const no = (fault: string): NoticeRequest => ({ ...notify, finalDelivery: false, fault })
  if (options.length > 1) return no('Disposition-Notification-Options stands more than once')

  const parameters = readOptions(value)
  if (!parameters) return no('Disposition-Notification-Options does not follow RFC 8098 §2.2')
  const asked = parameters.filter((parameter) => parameter.attribute === finalDeliveryField.toLowerCase())
  const [option] = asked
  if (!option) return { ...notify, finalDelivery: false }
  if (asked.length > 1) return no(`${finalDeliveryField} stands more than once`)
  if (option.importance !== 'optional' || option.values.length !== 1 || option.values[0] !== 'true')
    return no(`${finalDeliveryField} is not optional,true`)
  return to.kind === 'mailbox'
    ? { ...notify, finalDelivery: true }
    : no('Disposition-Notification-To does not name one address')
}

interface Option {
  readonly attribute: string
  readonly importance: 'required' | 'optional'
  readonly values: readonly string[]
}

const parameter = /^([!#-'*+.0-9A-Z^-~-]+)[ \t]*=[ \t]*(required|optional)((?:[ \t]*,[ \t]*[!#-'*+.0-9A-Z^-~-]+)+)$/i

/** The parameters of the field in lower case; undefined where one of them is malformed. */
function readOptions(value: string): Option[] | undefined {
  const options: Option[] = []
  for (const piece of value.split(';')) {
    const [, attribute, importance, values] = parameter.exec(piece.trim()) ?? []
    if (!attribute || !importance || !values) return undefined
    options.push({
      attribute: attribute.toLowerCase(),
      importance: importance.toLowerCase() === 'optional' ? 'optional' : 'required',
      values: values
        .split(',')
        .slice(1)
        .map((one) => one.trim().toLowerCase()),
    })
  }
  return options
}
