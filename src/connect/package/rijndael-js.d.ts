/** The package has no types of its own. */
declare module 'rijndael-js' {
  /** Block sizes in bits. */
  class Rijndael {
    constructor(key: Uint8Array, mode: 'ecb' | 'cbc')
    encrypt(plaintext: Uint8Array, blockSize: 128 | 192 | 256, iv: Uint8Array): number[]
    decrypt(ciphertext: Uint8Array, blockSize: 128 | 192 | 256, iv: Uint8Array): number[]
  }
  export = Rijndael
}
