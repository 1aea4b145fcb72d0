/** The folder of the newest server programs, undefined where there are none. */
export function findPostgres(): string | undefined
/** The same, after installing them where root may. */
export function readyPostgres(): string | undefined
