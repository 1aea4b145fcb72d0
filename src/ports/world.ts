/** The wall clock, Unix milliseconds. */
export interface Clock {
  now(): number
}

export interface Random {
  bytes(size: number): Uint8Array
}
