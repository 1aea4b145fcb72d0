// One reader or parser over the documents of a list, in a process of its own: `node measure.mjs <reader> <list.json> <seconds>`, or
// `node measure.mjs <reader> <file>` for what one document costs in memory. Prints one line of JSON.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [, , name, target, seconds] = process.argv

/** Each answers a function from the bytes of a document to what it read; what throws is counted, not hidden. */
const readers = {
  async 'direct-gateway'() {
    const { readDocument } = await import(pathToFileURL(process.env.READER).href)
    return async (bytes) => {
      const { documents } = await readDocument(bytes)
      if (documents[0].diagnostics.some(({ code, detail }) => code === 'not-parsed' && detail === 'the reader failed'))
        throw new Error('the reader failed')
      return documents.map(({ items }) => items)
    }
  },
  async '@medplum/ccda'() {
    const { convertCcdaToFhir, convertXmlToCcda } = await import('@medplum/ccda')
    return (bytes) => convertCcdaToFhir(convertXmlToCcda(bytes.toString()), { ignoreUnsupportedSections: true })
  },
  async '@amida-tech/blue-button'() {
    const { default: blueButton } = await import('@amida-tech/blue-button')
    return (bytes) => blueButton.parse(bytes.toString())
  },
  async bluebutton() {
    const { default: BlueButton } = await import('bluebutton')
    return (bytes) => {
      const { data } = BlueButton(bytes.toString())
      if (!data) throw new Error('nothing was read')
      return data
    }
  },
  /** The parsers alone, each to the same tree: local name, namespace, attributes, children in order. */
  async 'xml saxes, as the gateway has it'() {
    const { parseXml } = await import(new URL('../xml/parse.js', pathToFileURL(process.env.READER)))
    return (bytes) => {
      const parsed = parseXml(bytes)
      if (parsed.kind !== 'tree') throw new Error(parsed.detail)
      return parsed.root
    }
  },
  async 'xml fast-xml-parser, validated'() {
    const { XMLParser, XMLValidator } = createRequire(process.env.READER)('fast-xml-parser')
    const parser = new XMLParser({
      preserveOrder: true,
      ignoreAttributes: false,
      attributeNamePrefix: '',
      parseTagValue: false,
      parseAttributeValue: false,
      trimValues: false,
      htmlEntities: true,
      maxNestedTags: 64,
    })
    return (bytes) => {
      const text = bytes.toString()
      const verdict = XMLValidator.validate(text)
      if (verdict !== true) throw new Error(verdict.err.msg)
      return parser.parse(text)
    }
  },
  async 'xml libxml2-wasm'() {
    const { XmlDocument, XmlElement, XmlText, XmlCData } = await import('libxml2-wasm')
    const treeOf = (node) => {
      const tree = { local: node.name, ns: node.namespaceUri, attributes: [], children: [] }
      for (const { namespaceUri, name, value } of node.attrs) tree.attributes.push(namespaceUri, name, value)
      for (let at = node.firstChild; at; at = at.next) {
        if (at instanceof XmlElement) tree.children.push(treeOf(at))
        else if (at instanceof XmlText || at instanceof XmlCData) tree.children.push(at.content)
      }
      return tree
    }
    return (bytes) => {
      const document = XmlDocument.fromBuffer(bytes)
      try {
        return treeOf(document.root)
      } finally {
        document.dispose()
      }
    }
  },
}

const silent = () => {}
Object.assign(console, { error: silent, warn: silent, info: silent, debug: silent })
const say = (told) => process.stdout.write(`${JSON.stringify(told)}\n`)

const read = await readers[name]()
if (seconds === undefined) {
  const bytes = readFileSync(target)
  const before = process.resourceUsage().maxRSS
  const start = process.cpuUsage()
  let crashed = false
  try {
    await read(bytes)
  } catch {
    crashed = true
  }
  const { user, system } = process.cpuUsage(start)
  say({ crashed, cpuMs: (user + system) / 1000, rssKiB: process.resourceUsage().maxRSS, idleKiB: before })
} else {
  console.log = silent
  const documents = JSON.parse(readFileSync(target, 'utf8')).map(({ file, codes }) => ({
    bytes: readFileSync(file),
    codes,
  }))
  const readable = []
  let codes = 0
  let found = 0
  for (const document of documents) {
    codes += document.codes.length
    try {
      const text = JSON.stringify(await read(document.bytes))
      found += document.codes.filter((code) => text.includes(JSON.stringify(code))).length
      readable.push(document)
    } catch {
      // Counted by what is missing from `readable`.
    }
  }
  const sizeBytes = readable.reduce((sum, { bytes }) => sum + bytes.length, 0)
  let best = 0
  const until = performance.now() + Number(seconds) * 1000
  do {
    const start = process.cpuUsage()
    for (const { bytes } of readable) await read(bytes)
    const { user, system } = process.cpuUsage(start)
    best = Math.max(best, readable.length / ((user + system) / 1e6))
  } while (performance.now() < until)
  say({ documents: documents.length, readable: readable.length, sizeBytes, perSecond: best, codes, found })
}
