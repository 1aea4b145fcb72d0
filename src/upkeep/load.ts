import type { RowChange, Store } from '../ports/store.js'

/** Loads changes; what their source throws is thrown on as it is, not as a failure of the store that was reading it. */
export async function loadFrom(store: Pick<Store, 'load'>, changes: AsyncIterable<RowChange>): Promise<void> {
  let broken: { readonly error: unknown } | undefined
  async function* watched(): AsyncGenerator<RowChange> {
    try {
      yield* changes
    } catch (error) {
      broken = { error }
      throw error
    }
  }
  try {
    await store.load(watched())
  } catch (error) {
    throw broken ? broken.error : error
  }
}
