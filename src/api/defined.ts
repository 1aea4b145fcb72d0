/** What exact optional properties take: those that were left out are not there, rather than undefined. */
export type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** An object without the properties that are undefined. */
export function defined<T extends object>(given: T): Defined<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Defined<T>
}
