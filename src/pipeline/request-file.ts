/** What stands in the `request.txt` beside documents that a patient sends on (Blue Button+ Transmit, Direct message content). */
export interface RequestFile {
  readonly destination: string
  readonly patient: string
  readonly dataHolder: string
  readonly recurring: boolean
  readonly documents: readonly {
    readonly name: string
    /** A Direct address, `MIXED`, `UNKNOWN`, `PATIENT`, or words. */
    readonly source: string
  }[]
}

/** Longest value of a field: a line that people read. */
const valueCharacters = 500

/**
 * Writes it: UTF-8, fields as in RFC 5322 §2.2, one `Document-Source` for each document. Names and sources that are words
 * are quoted strings (RFC 5322 §3.2.4); what would end a line is a space.
 */
export function writeRequestFile({ destination, patient, dataHolder, recurring, documents }: RequestFile): Buffer {
  const lines = [
    `Destination: ${line(destination)}`,
    `Patient: ${line(patient)}`,
    `Data-holder: ${line(dataHolder)}`,
    `Recurring: ${recurring ? 'Yes' : 'No'}`,
    ...documents.map(({ name, source }) => `Document-Source: name=${quoted(name)};source=${sourceOf(source)}`),
  ]
  return Buffer.from(lines.map((one) => `${one}\r\n`).join(''))
}

function sourceOf(source: string): string {
  return /^(MIXED|UNKNOWN|PATIENT)$/.test(source) ? source : quoted(source)
}

function quoted(text: string): string {
  return `"${line(text).replace(/[\\"]/g, '\\$&')}"`
}

function line(text: string): string {
  return text
    .replace(/[\p{Cc}\u2028\u2029\s]+/gu, ' ')
    .trim()
    .slice(0, valueCharacters)
}
