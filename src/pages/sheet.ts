import { create } from 'qrcode'
import { html } from './html.js'
import { page } from './layout.js'
import { words } from './pickup-words.js'

/** A page to print for a patient: code, address and the square that leads there; never the question or the answer. */
export function sheetOf(
  {
    code,
    url,
    friendlyName,
    expiresAt,
  }: {
    readonly code: string
    readonly url: string
    readonly friendlyName: string
    /** Unix milliseconds. */
    readonly expiresAt: number
  },
  house: string,
): string {
  const { sheet, language } = words
  const until = new Date(expiresAt).toISOString().slice(0, 10)
  const body = html`<p>${sheet.forName(friendlyName)}</p>
<ol>${sheet.steps.map((step) => html`<li>${step}</li>`)}</ol>
<dl><dt>${sheet.address}</dt><dd>${url.split('?')[0]}</dd><dt>${sheet.code}</dt><dd class="code">${code}</dd></dl>
<p><img class="qr" alt="${sheet.qr}" width="240" height="240" src="${squareOf(url)}"></p>
<p>${sheet.until(until)}</p>`
  return page({ title: sheet.title, language, body }, { house, links: [], skip: sheet.title })
}

/** A QR code (ISO/IEC 18004) as an SVG in a data URL, with the quiet zone of four modules. */
function squareOf(text: string): string {
  const { modules } = create(text, { errorCorrectionLevel: 'M' })
  const dark: string[] = []
  for (let y = 0; y < modules.size; y++)
    for (let x = 0; x < modules.size; x++) if (modules.get(y, x)) dark.push(`M${x + 4} ${y + 4}h1v1h-1z`)
  const size = modules.size + 8
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges"><rect width="${size}" height="${size}" fill="#fff"/><path d="${dark.join('')}"/></svg>`
  return `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`
}
