import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { viewDocument } from '../../src/clinical/view/document.js'
import type { XmlNode } from '../../src/xml/node.js'
import { parseXml } from '../../src/xml/parse.js'
import { ccd21, ccr } from '../fixtures/clinical/documents.js'
import { parseHtml } from './parsed-html.js'

const cda = (text: string, title = 'Findings') =>
  `<?xml-stylesheet type="text/xsl" href="http://evil.example/x.xsl"?><ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:h="http://www.w3.org/1999/xhtml"><title>A note</title><component><structuredBody><component><section><title>${title}</title><text>${text}</text></section></component></structuredBody></component></ClinicalDocument>`
const squeezed = (text: string) => text.replace(/\s+/g, '')

/** What has got past other renderings of documents, in every place that a sender fills. */
const tricks = [
  '<script>alert(1)</script>',
  '<h:script src="http://evil.example/x.js"/>',
  '<style>body{background:url(http://evil.example)}</style>',
  '<paragraph style="background:url(http://evil.example)" onclick="alert(1)">x</paragraph>',
  '<content styleCode="Bold;background:url(x)" class="running">x</content>',
  '<table background="http://evil.example" onmouseover="x()"><tr onclick="x()"><td style="x" width="expression(alert(1))">x</td></tr></table>',
  '<linkHtml href="javascript:alert(1)">x</linkHtml>',
  '<linkHtml href=" &#9;JaVaScRiPt&#58;alert(1)">x</linkHtml>',
  '<linkHtml href="java&#9;script:alert(1)">x</linkHtml>',
  '<linkHtml href="data:text/html;base64,PHNjcmlwdD4=">x</linkHtml>',
  '<linkHtml href="vbscript:x">x</linkHtml>',
  '<linkHtml href="//evil.example/x">x</linkHtml>',
  '<linkHtml href="http://x/&quot; onclick=&quot;alert(1)">x</linkHtml>',
  '<linkHtml href="https://x/#&lt;script&gt;">x</linkHtml>',
  '<linkHtml href="mailto:a@b.c?subject=&quot;&gt;&lt;img src=x onerror=alert(1)&gt;">x</linkHtml>',
  '<linkHtml href="#&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;">x</linkHtml>',
  '<linkHtml href="http://[">x</linkHtml>',
  '<a href="http://a.b"><a href="http://c.d">x</a></a>',
  '<img src="http://evil.example/x.gif" onerror="alert(1)" alt="&quot;&gt;&lt;script&gt;"/>',
  '<h:iframe src="http://evil.example"/><h:object data="x"/><h:embed src="x"/><h:form action="x"><h:input/></h:form>',
  '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>',
  '<math xmlns="http://www.w3.org/1998/Math/MathML"><mtext><style><![CDATA[</style><img src=x onerror=alert(1)>]]></style></mtext></math>',
  '<![CDATA[<script>alert(1)</script>]]>',
  '<![CDATA[]]]]><![CDATA[></main></body><script>alert(1)</script>]]>',
  '&lt;script&gt;alert(1)&lt;/script&gt; &amp;lt;script&amp;gt; &#60;img src=x onerror=alert(1)&#62;',
  '<paragraph ID="x&quot; onclick=&quot;alert(1)">x</paragraph>',
  '<paragraph ID="s-1">x</paragraph><paragraph ID="s-1">y</paragraph><paragraph ID="__proto__">z</paragraph>',
  '<footnoteRef IDREF="x&quot; onclick=&quot;alert(1)"/>',
  '<renderMultiMedia referencedObject="http://evil.example/x.png javascript:x"><caption>x</caption></renderMultiMedia>',
  '<meta http-equiv="refresh" content="0;url=http://evil.example"/><base href="http://evil.example"/><link rel="stylesheet" href="x"/>',
  '<table><caption>x<table><tr><td>y</td></tr></table></caption>stray<tr>stray<paragraph>p</paragraph><td colspan="99999999" rowspan="-1">x</td></tr><paragraph>p</paragraph></table>',
  '<list>stray<caption>c</caption><paragraph>p</paragraph><item><table><thead>stray<tr><th>h</th></tr></thead></table></item></list>',
  '<paragraph>a<paragraph>b<list><item>c</item></list></paragraph><sub><table><tr><td>d</td></tr></table></sub><content><list><item>e</item></list></content></paragraph>',
  '<td>cell without a table</td><tr>row</tr><li>item</li><tbody><tr><td>x</td></tr></tbody><item>y</item>',
  '<br>words in a break</br><col>words</col><table><col>words in a column</col></table><hr>more</hr>',
  '<constructor>x</constructor><toString>y</toString>',
]

describe('a page of a hostile document', () => {
  it.each(tricks)('holds nothing that runs, and every word: %s', async (trick) => {
    for (const xml of [
      cda(trick),
      cda(`<table><tr><td>${trick}</td></tr></table>`),
      cda(`<list><item>${trick}</item></list>`),
      cda(`<paragraph><content>${trick}</content></paragraph>`),
    ]) {
      const parsed = parseXml(Buffer.from(xml))
      if (parsed.kind !== 'tree') throw new Error(parsed.detail)
      const { errors, active, text } = parseHtml(await viewDocument(Buffer.from(xml)))
      expect({ errors, active }).toEqual({ errors: [], active: [] })
      expect(missingWords(text, parsed.root)).toEqual([])
    }
  })

  it.each(['title', 'given', 'family', 'name', 'city'])('escapes what stands in %s', async (local) => {
    const evil = '&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&quot;x'
    const html = await viewDocument(
      Buffer.from(ccd21.replaceAll(new RegExp(`<${local}>[^<]*<`, 'g'), `<${local}>${evil}<`)),
    )
    const { active, errors } = parseHtml(html)
    expect({ errors, active }).toEqual({ errors: [], active: [] })
  })

  it('escapes what stands in attributes and in a CCR', async () => {
    const evil = '&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;'
    const documents = [
      ccd21.replaceAll(/displayName="[^"]*"/g, `displayName="${evil}"`),
      ccd21.replaceAll(/ (value|extension|code|use)="[^"]*"/g, ` $1="${evil}"`),
      ccr.replaceAll(/>([^<>\s][^<>]*)</g, (_, words: string) => `>${words}${evil}<`),
    ]
    for (const xml of documents) {
      const { active, errors } = parseHtml(
        await viewDocument(Buffer.from(xml), { name: '"><script>', documents: '/x/' }),
      )
      expect({ errors, active }).toEqual({ errors: [], active: [] })
    }
  })

  it('is well formed, holds nothing that runs, and every word, however the narrative is put together', async () => {
    const names =
      'paragraph content list item table tr td th thead tbody caption linkHtml sub sup br footnote footnoteRef renderMultiMedia col p div b ul li a pre script style x'.split(
        ' ',
      )
    const { tree } = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom('alpha', ' beta ', 'gamma&lt;script&gt;', '\n'),
        fc
          .tuple(
            fc.constantFrom(...names),
            fc.constantFrom(
              '',
              ' ID="i1"',
              ' href="javascript:x"',
              ' href="https://a.b/c"',
              ' onclick="x"',
              ' styleCode="Bold"',
              ' revised="delete"',
              ' colspan="2"',
            ),
            fc.array(tie('tree'), { maxLength: 4 }),
          )
          .map(([name, attributes, inner]) => `<${name}${attributes}>${inner.join('')}</${name}>`),
      ),
    }))
    await fc.assert(
      fc.asyncProperty(fc.array(tree, { maxLength: 5 }), async (parts) => {
        const xml = cda(`${parts.join('')}<paragraph>end</paragraph>`)
        const parsed = parseXml(Buffer.from(xml))
        if (parsed.kind !== 'tree') throw new Error(parsed.detail)
        const { errors, active, text } = parseHtml(await viewDocument(Buffer.from(xml)))
        expect({ errors, active }).toEqual({ errors: [], active: [] })
        expect(missingWords(text, parsed.root)).toEqual([])
      }),
      { numRuns: 1500 },
    )
  })

  it('is a page whatever happened to the bytes', async () => {
    const seeds = [Buffer.from(ccd21), Buffer.from(ccr)]
    await fc.assert(
      fc.asyncProperty(
        fc.nat(1),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (which, changes) => {
          const bytes = Buffer.from(seeds[which] ?? '')
          for (const [at, value] of changes) bytes[at % bytes.length] = value
          const { errors, active } = parseHtml(await viewDocument(bytes))
          expect({ errors, active }).toEqual({ errors: [], active: [] })
        },
      ),
      { numRuns: 150 },
    )
  })
})

/** Runs of words of the document that the page does not have. */
function missingWords(page: string, root: XmlNode): string[] {
  const whole = squeezed(page)
  const missing: string[] = []
  const visit = (node: XmlNode): void => {
    for (const item of node.children) {
      if (typeof item !== 'string') visit(item)
      else if (!whole.includes(squeezed(item))) missing.push(item)
    }
  }
  visit(root)
  return missing
}
