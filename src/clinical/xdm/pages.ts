import { escaped } from '../../xml/write.js'
import type { PackedEntry } from './write.js'

interface Contents {
  readonly title: string | undefined
  /** Unix milliseconds. */
  readonly at: number
  readonly entries: readonly PackedEntry[]
  /** Where the files stand, with a `/` at its end. */
  readonly folder: string
}

/** The page that a person opens: XHTML Basic, no scripts, relative links only (IHE ITI TF-2 §3.32.4.1.2.2). */
export function indexPage({ title, at, entries, folder }: Contents): string {
  const heading = escaped(title ?? 'Clinical documents')
  const rows = entries.map(({ file, mediaType, described }) => {
    const name = escaped(described.title ?? file)
    const written = described.createdAt ? `, written ${escaped(described.createdAt.text.replace('T', ' '))}` : ''
    return `<li><a href="${folder}${file}">${name}</a> (${escaped(mediaType)}${written})</li>`
  })
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML Basic 1.0//EN" "http://www.w3.org/TR/xhtml-basic/xhtml-basic10.dtd">',
    '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en">',
    `<head><title>${heading}</title></head>`,
    '<body>',
    `<h1>${heading}</h1>`,
    `<p>Packed ${day(at)}. Read <a href="README.TXT">README.TXT</a> for what this package is.</p>`,
    ...(rows.length > 0 ? ['<ul>', ...rows, '</ul>'] : ['<p>No documents.</p>']),
    `<p><a href="${folder}METADATA.XML">Metadata of the submission</a></p>`,
    '</body>',
    '</html>',
    '',
  ].join('\n')
}

/** ASCII with CRLF, for whoever unpacks it by hand. */
export function readmeText({ at, entries }: Contents): string {
  return [
    'This package holds clinical documents as IHE XDM (Cross-enterprise Document Media Interchange).',
    'It was made by direct-gateway, a gateway for Direct secure messaging.',
    '',
    'INDEX.HTM                       what is in the package, for people',
    'IHE_XDM/SUBSET01/METADATA.XML   what is in the package, for programs',
    ...entries.map(
      ({ file, mediaType }) => `IHE_XDM/SUBSET01/${file.padEnd(13)}  ${mediaType.replace(/[^\x20-\x7e]/g, '?')}`,
    ),
    '',
    `Packed ${day(at)} (UTC). Whoever sent it answers questions about it.`,
    '',
  ].join('\r\n')
}

function day(at: number): string {
  return new Date(at).toISOString().slice(0, 16).replace('T', ' ')
}
