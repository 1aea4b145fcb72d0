/** Whether the corpus is beside the project. */
export declare const present: boolean

/** Where it is. */
export declare const home: string

/** Name, kind and bytes of every document, in the order of the index. */
export declare function corpus(): AsyncGenerator<{
  readonly name: string
  readonly standard?: string
  readonly bytes: Uint8Array
}>

/** A fragment as a document; undefined where it says nothing alone. */
export declare function wrap(text: string, folder: string, options?: { readonly header?: boolean }): string | undefined
