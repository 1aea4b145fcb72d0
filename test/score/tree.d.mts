/** Text of bytes: by byte order mark, else by the XML declaration, else UTF-8, else windows-1252. */
export declare function decode(bytes: Uint8Array): string
