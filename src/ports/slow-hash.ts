/**
 * Argon2id (RFC 9106) for what people can remember: passwords, answers, passcodes. Each costs tens of milliseconds and tens
 * of MiB, off the main loop; only so many are worked out at once, the others wait their turn, and beyond that `Busy` is thrown.
 */
export interface SlowHash {
  /** What `derive` costs, as a PHC string says it: `m=65536,t=3,p=4`. Keys derived at another cost are other keys. */
  readonly cost: string
  /** With its own random salt and its parameters in it (PHC string). */
  hash(text: string): Promise<string>
  /** In the time that hashing takes; `undefined` for a hash is compared too, and is never right. */
  verify(hash: string | undefined, text: string): Promise<boolean>
  /** 32 bytes that the text and the salt (16 bytes or more) always give, for keys. */
  derive(text: string, salt: Uint8Array): Promise<Uint8Array>
}

/** Too many are waiting: try again in a moment. */
export class SlowHashBusy extends Error {
  override readonly name = 'SlowHashBusy'
}
