import { VaultFailed } from '../ports/vault.js'
import { nonceBytes, open, seal, tagBytes } from './sealed.js'

/** Plaintext of one frame; every frame but the last is exactly this long. */
export const frameBytes = 64 * 1024
const sealedFrameBytes = frameBytes + tagBytes

/**
 * Seals chunks of any size frame by frame (the STREAM construction, Hoang, Reyhanitabar, Rogaway and Vizár 2015): the
 * nonce counts the frames and marks the last, so that frames cannot be dropped, moved or cut off unnoticed. The key must
 * be used for this one stream only.
 */
export async function* sealFrames(
  key: Uint8Array,
  context: Uint8Array,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let count = 0
  for await (const { bytes, last } of pieces(chunks, frameBytes))
    yield seal(key, nonceOf(count++, last), context, bytes)
}

/** Opens the frames of `sealFrames`; throws VaultFailed at the first frame that is not what was sealed, and at a missing end. */
export async function* openFrames(
  key: Uint8Array,
  context: Uint8Array,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let count = 0
  for await (const { bytes, last } of pieces(chunks, sealedFrameBytes)) {
    const plaintext = open(key, nonceOf(count++, last), context, bytes)
    if (!plaintext) throw new VaultFailed('A sealed stream was changed, moved or cut off')
    if (plaintext.length > 0) yield plaintext
  }
}

/** Cuts chunks into pieces of one size; the last one, of any size down to nothing, is known as such. */
async function* pieces(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  size: number,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly last: boolean }> {
  let piece = Buffer.allocUnsafe(size)
  let filled = 0
  for await (const chunk of chunks) {
    let at = 0
    while (at < chunk.length) {
      // A full piece waits for one more byte, which proves that it is not the last.
      if (filled === size) {
        yield { bytes: piece, last: false }
        piece = Buffer.allocUnsafe(size)
        filled = 0
      }
      const taken = Math.min(size - filled, chunk.length - at)
      piece.set(chunk.subarray(at, at + taken), filled)
      filled += taken
      at += taken
    }
  }
  yield { bytes: piece.subarray(0, filled), last: true }
}

/** 7 zero bytes, the count in 4, and 1 on the last frame: unique, because the key is the stream's own. */
function nonceOf(count: number, last: boolean): Uint8Array {
  if (count > 0xffffffff) throw new VaultFailed('A stream has more frames than can be counted')
  const nonce = Buffer.alloc(nonceBytes)
  nonce.writeUInt32BE(count, 7)
  nonce[11] = last ? 1 : 0
  return nonce
}
