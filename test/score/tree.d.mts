/** Text of bytes: by byte order mark, else by the XML declaration, else UTF-8, else windows-1252. */
export declare function decode(bytes: Uint8Array): string

/** An element with its attributes (`xsi:type` among them), its children and its text in document order. */
export interface TreeNode {
  readonly local: string
  readonly attrs: ReadonlyMap<string, string>
  readonly kids: readonly (TreeNode | string)[]
}

/** The root and every element by its path; undefined where the text is not well-formed. */
export declare function parse(
  text: string,
): { readonly root: TreeNode; readonly byPath: ReadonlyMap<string, TreeNode> } | undefined
