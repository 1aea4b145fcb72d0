import { Buffer } from 'node:buffer'
import type { Markup } from '../../xml/write.js'

/** How many bytes a document may still take. */
export interface Room {
  left: number
}

/** Writes one after another for as long as there is room; where it has run out, the document is too large and given up. */
export function within<T>(room: Room, all: Iterable<T>, write: (one: T) => Markup | undefined): Markup[] {
  const made: Markup[] = []
  for (const one of all) {
    if (room.left < 0) break
    const written = write(one)
    if (written === undefined) continue
    // Counting joins the pieces of the text too, while they are young: a document of thousands of pieces is slow to collect.
    room.left -= Buffer.byteLength(written.markup)
    made.push(written)
  }
  return made
}

/** A written document, and the items of which it says less than all: in words only, or not at all. */
export type Written =
  | {
      readonly kind: 'written'
      readonly bytes: Uint8Array
      readonly inWords: readonly string[]
      readonly notWritten: readonly string[]
    }
  /** It would have more bytes than it may. */
  | { readonly kind: 'too-large' }
