import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { clinicalLimits } from '../../src/clinical/limits.js'
import { viewDocument } from '../../src/clinical/view/document.js'
import { viewLimits } from '../../src/clinical/view/sheet.js'
import { writeXdm } from '../../src/clinical/xdm/write.js'
import { ccd21, ccr } from '../fixtures/clinical/documents.js'
import { parseHtml, textOfPage } from './parsed-html.js'

const view = (xml: string, limits = viewLimits) => viewDocument(Buffer.from(xml), {}, clinicalLimits, limits)
const cda = (text: string, more = '') =>
  `<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><title>A note</title><component><structuredBody><component><section><title>Findings</title><text>${text}</text>${more}</section></component></structuredBody></component></ClinicalDocument>`
const main = async (text: string, more = '') => {
  const html = await view(cda(text, more))
  return html.slice(html.indexOf('<main>'), html.indexOf('</main>'))
}

describe('the view of a CDA document', () => {
  it('tells who it is about, who wrote it, and every section', async () => {
    const html = await view(ccd21)
    const { headings, text } = textOfPage(html)
    expect(headings[0]).toBe('1 Continuity of Care Document')
    for (const word of ['Patient', 'Born', 'Authors', 'Custodian', 'Allergies', 'Medications'])
      expect(text).toContain(word)
    expect(html).toMatch(/<nav aria-label="Contents">/)
    expect(html.match(/<th scope="col">/g)?.length).toBeGreaterThan(5)
  })

  it('keeps tables with their spans, headings and captions', async () => {
    const html = await main(
      '<table ID="t1"><caption>Results</caption><colgroup><col width="10%"/></colgroup><thead><tr><th colspan="2">Test</th></tr></thead><tbody><tr><th>Sodium</th><td rowspan="2" align="right" styleCode="Rrule Botrule">140</td></tr><tr><td>high</td></tr></tbody></table>',
    )
    expect(html).toContain(
      '<table id="n-t1"><caption>Results</caption><thead><tr><th colspan="2" scope="col">Test</th></tr></thead>',
    )
    expect(html).toContain('<th scope="row">Sodium</th><td class="rule-right rule-bottom right" rowspan="2">140</td>')
  })

  it('keeps lists, styles, and what was struck out as struck out', async () => {
    const html = await main(
      '<list listType="ordered" styleCode="BigAlpha"><caption>Plan</caption><item>one<list><item>in it</item></list></item></list><paragraph>He <content styleCode="Bold Italics">never</content> took <content revised="delete">aspirin</content><content revised="insert">ibuprofen</content> H<sub>2</sub>O<br/>x<sup>2</sup></paragraph>',
    )
    expect(html).toContain('<ol class="big-alpha"><li>one<div class="list"><ul><li>in it</li></ul></div></li></ol>')
    expect(html).toContain('<em><strong>never</strong></em>')
    expect(html).toContain('<del>aspirin</del>')
    expect(html).toContain('<ins>ibuprofen</ins>')
    expect(html).toContain('H<sub>2</sub>O<br>x<sup>2</sup>')
  })

  it('links within the page, and out by http, https and mailto only', async () => {
    const html = await main(
      '<paragraph ID="a b">x<footnote ID="f1">small print</footnote> <footnoteRef IDREF="f1"/> <linkHtml href="#a b">up</linkHtml> <linkHtml href="https://example.org/a?b=1&amp;c=2">out</linkHtml> <linkHtml href="javascript:alert(1)">bad</linkHtml> <linkHtml href="java&#10;script:alert(1)">worse</linkHtml></paragraph>',
    )
    expect(html).toContain('id="n-a_20_b"')
    expect(html).toContain('<a href="#n-a_20_b">up</a>')
    expect(html).toContain('<a href="#n-f1">[note]</a>')
    expect(html).toContain(
      '<a href="https://example.org/a?b=1&amp;c=2" rel="noopener noreferrer nofollow">out</a><span class="address"> (https://example.org/a?b=1&amp;c=2)</span>',
    )
    expect(html.match(/<a /g)).toHaveLength(3)
    expect(html).toContain('bad')
    expect(html).toContain('worse')
  })

  const gif = 'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'
  const media = (type: string, data: string) =>
    `<entry><observationMedia classCode="OBS" moodCode="EVN" ID="M1"><value xsi:type="ED" mediaType="${type}" representation="B64">${data}</value></observationMedia></entry>`

  it('shows pictures that are in the document, by their bytes, once', async () => {
    const text =
      '<renderMultiMedia referencedObject="M1"><caption>Skin</caption></renderMultiMedia><renderMultiMedia referencedObject="M1"/>'
    const html = await main(text, media('text/html', gif))
    expect(html.match(/<img src="data:image\/gif;base64,[A-Za-z0-9+/=]+" alt="[^"]*">/g)).toHaveLength(1)
    expect(html).toContain('Skin')
    expect(await main(text, media('image/png', Buffer.from('<svg onload="x"/>').toString('base64')))).not.toContain(
      '<img',
    )
    const small = { ...viewLimits, pictureBytes: 10 }
    expect(await view(cda(text, media('image/gif', gif)), small)).not.toContain('<img')
  })

  it('tells sections without words by their entries, and says so', async () => {
    const without = ccd21.replace(/<text>(?:(?!<\/text>)[\s\S])*Penicillin[\s\S]*?<\/text>/, '<text/>')
    expect(without).not.toBe(ccd21)
    expect(textOfPage(await view(without)).text).toContain('no words of its own')
  })

  it('shows an unstructured body: words as they are, a file by its name and where it is', async () => {
    const body = (attributes: string, inner: string) =>
      `<ClinicalDocument xmlns="urn:hl7-org:v3"><title>Scan</title><component><nonXMLBody><text ${attributes}>${inner}</text></nonXMLBody></component></ClinicalDocument>`
    const base64 = (text: string) => Buffer.from(text).toString('base64')
    expect(await view(body('mediaType="text/plain"', 'Line one\n  two &lt;b&gt;'))).toContain(
      '<pre>Line one\n  two &lt;b&gt;</pre>',
    )
    expect(await view(body('mediaType="text/plain" representation="B64"', base64('Plain <i>words</i>')))).toContain(
      '<pre>Plain &lt;i&gt;words&lt;/i&gt;</pre>',
    )
    const pdf = '%PDF-1.7 scan'
    const html = await viewDocument(
      Buffer.from(body('mediaType="application/pdf" representation="B64"', base64(pdf))),
      { documents: '../' },
    )
    expect(html).toContain(
      `<a href="../${createHash('sha256').update(pdf).digest('hex')}" download="">The application/pdf file</a>`,
    )
  })

  it('is cut where it would grow beyond its limit, and says so', async () => {
    const html = await view(cda(`<paragraph>${'word '.repeat(2000)}</paragraph><paragraph>end</paragraph>`), {
      ...viewLimits,
      pageChars: 5_000,
    })
    expect(html.length).toBeLessThan(15_000)
    expect(html).toContain('too long to be shown whole')
    expect(parseHtml(html).errors).toEqual([])
  })

  it('is one page with its own style, named by its hash, for paper as well', async () => {
    const html = await view(ccd21)
    const [, css = ''] = /<style>([\s\S]*?)<\/style>/.exec(html) ?? []
    const hash = createHash('sha256').update(css).digest('base64')
    expect(html).toContain(`default-src &#39;none&#39;; style-src &#39;sha256-${hash}&#39;`.replaceAll('&#39;', "'"))
    expect(css).toContain('@media print')
    expect(html).toMatch(/<html lang="en-US">/)
    expect(html).toMatch(/<div class="running">Continuity of Care Document - /)
  })
})

describe('the view of other documents', () => {
  it('shows a CCR as tables, its actors by name', async () => {
    const { text, headings } = textOfPage(await view(ccr))
    expect(headings.some((one) => one.startsWith('2 '))).toBe(true)
    expect(headings).toContain('2 People and organizations')
    expect(text).not.toContain('ActorID')
  })

  it('shows text, markup as it is written, and pictures', async () => {
    expect(await view('Hello & <goodbye>')).toContain('<pre>Hello &amp; &lt;goodbye&gt;</pre>')
    const html = await view('<html><body onload="x()"><script>alert(1)</script></body></html>')
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
    expect(parseHtml(html).active).toEqual([])
    const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')
    expect(await viewDocument(gif)).toContain('<img src="data:image/gif;base64,')
  })

  it('tells what a package holds, and what is wrong with it', async () => {
    const outcome = writeXdm({
      documents: [{ bytes: Buffer.from(ccd21) }, { bytes: Buffer.from('%PDF-1.7 x'), metadata: { title: 'A <scan>' } }],
      submission: { at: 0, sourceId: '1.2.3', patient: { root: '1.2.4', value: '5' } },
      level: 'full',
    })
    if (outcome.kind !== 'package') throw new Error(outcome.kind)
    const html = await viewDocument(outcome.bytes, { documents: '/d/' })
    expect(html).toContain('A &lt;scan&gt;</a>')
    expect(html.match(/<a href="\/d\/[0-9a-f]{64}" download="">/g)).toHaveLength(3)
  })

  it('is a page for any bytes', async () => {
    for (const bytes of [
      '',
      '\0\u0001',
      '<',
      'PK\u0003\u0004xx',
      '<ClinicalDocument xmlns="urn:hl7-org:v3"/>',
      '<ContinuityOfCareRecord xmlns="urn:astm-org:CCR"/>',
    ]) {
      const { errors, active } = parseHtml(await viewDocument(Buffer.from(bytes, 'latin1')))
      expect({ errors, active }).toEqual({ errors: [], active: [] })
    }
  })
})
