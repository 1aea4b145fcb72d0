/**
 * Encryption at rest. Each owner (a mailbox, a record, the quarantine) has its own data key, wrapped under the master
 * key. AES-256-GCM; `context` is authenticated, so that sealed bytes moved to another key do not open.
 */
export interface Vault {
  seal(owner: string, context: string, plaintext: Uint8Array): Promise<Uint8Array>
  /** Throws VaultFailed when the bytes were changed, moved, or sealed under another key. */
  open(owner: string, context: string, sealed: Uint8Array): Promise<Uint8Array>
  /** The same for streams, in frames of 64 KiB; each frame is authenticated before it is handed out, truncation is an error. */
  sealStream(
    owner: string,
    context: string,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): AsyncIterable<Uint8Array>
  openStream(owner: string, context: string, sealed: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>
}

export class VaultFailed extends Error {
  override readonly name = 'VaultFailed'
}
