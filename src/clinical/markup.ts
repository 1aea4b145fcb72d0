const marks: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/**
 * Text as it stands in XML or HTML, inside an element or a quoted attribute. Control characters, lone surrogates and what
 * XML 1.0 §2.2 cannot have otherwise become the replacement character; tabs and line ends stay.
 */
export function escaped(text: string): string {
  return text
    .replace(/(?![\t\n\r])[\p{Cc}\p{Cs}\ufffe\uffff]/gu, '\ufffd')
    .replace(/[&<>"']/g, (mark) => marks[mark] ?? mark)
}
