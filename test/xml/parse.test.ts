import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { attribute, child, childrenOf, descend, elements, textOf, type XmlNode } from '../../src/xml/node.js'
import { parseXml, type XmlOutcome, xmlLimits } from '../../src/xml/parse.js'

const bytes = (text: string) => Buffer.from(text, 'utf8')
const parse = (text: string) => parseXml(bytes(text))

function tree(outcome: XmlOutcome): XmlNode {
  if (outcome.kind !== 'tree') throw new Error(outcome.detail)
  return outcome.root
}

/** What a refusal says, or 'tree'. */
function verdict(outcome: XmlOutcome): string {
  return outcome.kind === 'tree' ? 'tree' : outcome.reason
}

describe('the tree', () => {
  it('keeps mixed content in order and joins text around comments and CDATA', () => {
    const root = tree(parse('<p>Take <b>Aspirin <i>81</i> mg</b> da<!-- x -->i<![CDATA[l]]>y &amp; rest</p>'))
    expect(textOf(root)).toBe('Take Aspirin 81 mg daily & rest')
    expect(root.children.map((one) => (typeof one === 'string' ? one : one.local))).toEqual([
      'Take ',
      'b',
      ' daily & rest',
    ])
  })

  it('resolves prefixes, default namespaces and their scopes', () => {
    const root = tree(parse('<a:r xmlns:a="u:a" xmlns="u:d"><x a:k="1" k="2"><y xmlns=""/></x><a:x/></a:r>'))
    expect([root.local, root.ns]).toEqual(['r', 'u:a'])
    const [x, ax] = elements(root)
    expect([x?.ns, ax?.ns]).toEqual(['u:d', 'u:a'])
    expect(attribute(x as XmlNode, 'k')).toBe('2')
    expect(attribute(x as XmlNode, 'k', 'u:a')).toBe('1')
    expect(elements(x as XmlNode)[0]?.ns).toBe('')
    expect(child(root, 'x')?.ns).toBe('u:a')
    expect(childrenOf(root, 'x', 'u:d')).toHaveLength(1)
    expect(descend(root, 'nothing', 'here')).toBeUndefined()
  })

  it('decodes numeric references, beyond the basic plane too', () => {
    const root = tree(parse('<a b="&#233;&#xE9;&quot;">&#128138;&#x1F48A;&lt;</a>'))
    expect(textOf(root)).toBe('💊💊<')
    expect(attribute(root, 'b')).toBe('éé"')
  })

  it('drops comments and processing instructions', () => {
    expect(
      tree(parse('<?xml version="1.0"?><?xml-stylesheet href="a.xsl"?><!-- c --><a><?pi?><b/></a><!-- d -->')).children,
    ).toHaveLength(1)
  })

  it('reads HTML entity names with a note, and no other names', () => {
    const outcome = parse('<a>1&nbsp;mg &mu;</a>')
    expect(textOf(tree(outcome))).toBe('1\u00a0mg μ')
    expect(outcome.notes.map((one) => one.kind)).toEqual(['entities-repaired'])
    expect(verdict(parse('<a>&constructor;</a>'))).toBe('not-well-formed')
    expect(verdict(parse('<a>&unknown;</a>'))).toBe('not-well-formed')
  })

  it('binds a forgotten prefix only where it is told to', () => {
    expect(verdict(parse('<a xsi:type="CD"/>'))).toBe('not-well-formed')
    const outcome = parseXml(bytes('<a xsi:type="CD"/>'), xmlLimits, { xsi: 'u:xsi' })
    expect(attribute(tree(outcome), 'type', 'u:xsi')).toBe('CD')
    expect(outcome.notes.map((one) => one.kind)).toEqual(['prefix-assumed'])
    expect(verdict(parseXml(bytes('<a constructor:type="CD"/>'), xmlLimits, { xsi: 'u:xsi' }))).toBe('not-well-formed')
  })
})

describe('what is not well-formed is refused by name', () => {
  it.each([
    ['nothing', ''],
    ['blanks', '  \n'],
    ['text', 'hello'],
    ['unclosed', '<a><b></a>'],
    ['truncated', '<a><b>'],
    ['two roots', '<a/><b/>'],
    ['trailing text', '<a/>x'],
    ['duplicate attributes', '<a b="1" b="2"/>'],
    ['the same attribute by two prefixes', '<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>'],
    ['unquoted attribute', '<a b=1/>'],
    ['bare ampersand', '<a>a & b</a>'],
    ['less-than in attribute', '<a b="<"/>'],
    ['control character', '<a>\u0001</a>'],
    ['reference to a control character', '<a>&#1;</a>'],
    ['reference out of range', '<a>&#x110000;</a>'],
    ['unterminated comment', '<a><!-- '],
    ['unterminated CDATA', '<a><![CDATA[ '],
    ['unterminated tag', '<a b="'],
    ['two colons', '<a:b:c xmlns:a="u"/>'],
    ['empty prefix', '<:a/>'],
    ['undeclared prefix', '<a:b/>'],
    ['prefix bound to nothing', '<a xmlns:b=""/>'],
    ['xml bound elsewhere', '<a xmlns:xml="u"/>'],
    ['declaration inside', '<a><?xml version="1.0"?></a>'],
  ])('%s', (_, text) => {
    expect(verdict(parse(text))).toBe('not-well-formed')
  })
})

describe('hostile documents end soon, with a name', () => {
  const quick = (outcome: () => XmlOutcome): string => {
    const start = performance.now()
    const said = verdict(outcome())
    expect(performance.now() - start).toBeLessThan(2000)
    return said
  }

  it('refuses every document type declaration, wherever it hides', () => {
    const bomb = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>'
    expect(quick(() => parse(`${bomb}<a>&c;</a>`))).toBe('doctype')
    expect(quick(() => parse(`<?xml version="1.0"?>\n<!-- <a> -->\n${bomb}<a/>`))).toBe('doctype')
    expect(quick(() => parse('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>'))).toBe('doctype')
    expect(quick(() => parse(`<!DOCTYPE ${'x'.repeat(1e6)}`))).toBe('doctype')
    expect(quick(() => parse('<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" ""><html/>'))).toBe('doctype')
  })

  it('stops at a depth of 64', () => {
    const nested = (depth: number) => '<a>'.repeat(depth) + '</a>'.repeat(depth)
    expect(quick(() => parse(nested(64)))).toBe('tree')
    expect(quick(() => parse(nested(65)))).toBe('limit')
    expect(quick(() => parse(nested(100_000)))).toBe('limit')
    expect(quick(() => parse('<a>'.repeat(1_000_000)))).toBe('limit')
    expect(quick(() => parse('<a xmlns:p="u">'.repeat(100_000)))).toBe('limit')
  })

  it('stops at its counts of attributes, elements, namespaces and bytes', () => {
    const many = (n: number, one: (i: number) => string) => Array.from({ length: n }, (_, i) => one(i)).join('')
    expect(quick(() => parse(`<a ${many(100_000, (i) => `b${i}="" `)}/>`))).toBe('limit')
    expect(quick(() => parse(`<a ${many(80, (i) => `xmlns:b${i}="u${i}" `)}/>`))).toBe('limit')
    expect(quick(() => parse(`<a>${'<b/>'.repeat(500_001)}</a>`))).toBe('limit')
    expect(quick(() => parseXml(bytes('<a>12345</a>'), { ...xmlLimits, bytes: 10 }))).toBe('limit')
  })

  it('reads long runs of references, comments and names in time', () => {
    expect(quick(() => parse(`<a>${'&amp;'.repeat(200_000)}</a>`))).toBe('tree')
    expect(quick(() => parse(`<a>${'x<!-- -->'.repeat(100_000)}</a>`))).toBe('tree')
    expect(quick(() => parse(`<a>&${'x'.repeat(1_000_000)}`))).toBe('not-well-formed')
    expect(quick(() => parse('<'.repeat(1_000_000)))).toBe('not-well-formed')
    expect(quick(() => parse(`<!--${'-'.repeat(1_000_000)}`))).toBe('not-well-formed')
  })

  it('keeps prototypes out of reach', () => {
    const root = tree(parse('<a __proto__="1" constructor="2"><__proto__>x</__proto__></a>'))
    expect(attribute(root, '__proto__')).toBe('1')
    expect(textOf(child(root, '__proto__'))).toBe('x')
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })
})

describe('whatever the bytes', () => {
  it('never throws, and refuses with a reason', () => {
    const pieces = fc.constantFrom(
      '<a>',
      '</a>',
      '<b c="d">',
      '</b>',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '&amp;',
      '&#x;',
      '&',
      '<?p',
      '?>',
      'é',
      '\0',
      ' ',
      'x',
      '<p:q',
      'xmlns:p="u"',
      '>',
      '"',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
        expect(['tree', 'not-well-formed', 'doctype', 'limit']).toContain(verdict(parse(parts.join(''))))
      }),
      { numRuns: 3000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (raw) => {
        expect(typeof verdict(parseXml(raw))).toBe('string')
      }),
      { numRuns: 2000 },
    )
  })

  it('reads back any text and attribute that was escaped', () => {
    const escaped = (text: string) => text.replace(/[&<>"\t\r\n]|[^\x20-\x7e]/gu, (one) => `&#${one.codePointAt(0)};`)
    const legal = fc
      .string({ unit: 'grapheme' })
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the characters that XML has no way to write
      .filter((text) => !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text))
    fc.assert(
      fc.property(legal, legal, (value, text) => {
        const root = tree(parse(`<a b="${escaped(value)}">${escaped(text)}</a>`))
        expect(attribute(root, 'b')).toBe(value)
        expect(textOf(root)).toBe(text)
      }),
    )
  })
})
