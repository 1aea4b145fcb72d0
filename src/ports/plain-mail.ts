import type { Batch } from './store.js'

/**
 * Health information by ordinary e-mail, which nothing protects on its way: only where the person was told so and asked for
 * it all the same (45 CFR 170.315(e)(1)(i)(C)). Apart from `Letters`, which never carry anything clinical.
 */
export interface PlainMail {
  /** What must be committed so that it goes out by the operator's relay; sealed until then. `once` names it. */
  mail(
    to: string,
    message: {
      readonly subject: string
      readonly text: string
      readonly attachments: readonly { readonly name: string; readonly mediaType: string; readonly bytes: Uint8Array }[]
    },
    once: string,
  ): Promise<Batch>
}
