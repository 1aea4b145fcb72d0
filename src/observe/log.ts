import pino from 'pino'
import type { Log } from '../ports/observe.js'

export type LogLevel = 'error' | 'warn' | 'info' | 'silent'

export const logLimits = {
  /** A field is an id, a count or a reason; longer text is somebody's data. */
  valueCharacters: 1_000,
  fields: 32,
}

export interface LogOptions {
  readonly level: LogLevel
  /** Where the lines go; stderr when absent, because stdout belongs to what a command prints. */
  readonly write?: (line: string) => void
}

/**
 * A log of JSON lines: `time`, `level`, `event`, and the fields that may be told. Only scalars pass; names that speak of
 * secrets or of clinical content lose their value, so do values that look like a secret; control characters are
 * written out, so that no value can forge a line or drive a terminal.
 */
export function openLog({ level, write }: LogOptions): Log {
  const options: pino.LoggerOptions = {
    level,
    base: null,
    messageKey: 'event',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  }
  // Not synchronous: a full pipe behind stderr must not stop the gateway. pino flushes at exit.
  const logger = pino(options, write ? { write } : pino.destination({ dest: 2, sync: false }))
  return {
    info: (event, fields) => logger.info(tellable(fields), printable(event)),
    warn: (event, fields) => logger.warn(tellable(fields), printable(event)),
    error: (event, fields) => logger.error(tellable(fields), printable(event)),
  }
}

const fieldName = /^[a-zA-Z][a-zA-Z0-9_.-]{0,63}$/

/** What the line itself says. */
const taken = new Set(['time', 'level', 'event'])

/** Names of secrets. A name that ends in Id, Count or Bytes only speaks about one. */
const secretName =
  /(pass(word|phrase|wd)?|secret|token|authorization|cookie|credential|private|pkcs8|p12|pin|key|bearer)s?$/i

/** Names under which somebody's life could stand. */
const personalName =
  /^(subject|body|text|html|content|note|name|patient.*|(given|family|display|full|file).?name|birth.*|ssn|mrn|phone|street)s?$/i

/** Values that are secrets whatever they are called: our tokens, PEM, bearer headers, 32 bytes in base64. */
const secretValue =
  /dgt_[A-Za-z0-9_-]{16,}|-----BEGIN [A-Z ]+-----|\b(?:Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}|(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{43}(?:=|(?![A-Za-z0-9+/_=-]))/

/** The fields that may be told, in the order given. */
export function tellable(
  fields: Readonly<Record<string, unknown>> | undefined,
): Record<string, string | number | boolean> {
  const told: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(fields ?? {}).slice(0, logLimits.fields)) {
    if (!fieldName.test(name) || taken.has(name)) continue
    if (secretName.test(name)) told[name] = '[redacted]'
    else if (personalName.test(name)) told[name] = '[withheld]'
    else if (typeof value === 'string') told[name] = secretValue.test(value) ? '[redacted]' : printable(value)
    else if (typeof value === 'number' || typeof value === 'boolean') told[name] = value
  }
  return told
}

/** Controls, line separators and marks that turn the direction of writing: what could forge or hide part of a line. */
const unprintable =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** The text with everything unprintable as `\uXXXX`, cut at `logLimits.valueCharacters`. */
export function printable(text: string): string {
  const cut = text.length > logLimits.valueCharacters ? `${text.slice(0, logLimits.valueCharacters)}…` : text
  return cut.replace(unprintable, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
