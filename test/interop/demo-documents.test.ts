import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { sampleCcda, sampleCcr, sampleXdm } from '../../src/demo/documents.js'

const python = spawnSync('python3', ['--version']).status === 0
const folder = mkdtempSync(join(tmpdir(), 'direct-gateway-documents-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = (name: string, bytes: Uint8Array) => {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

/** Facts about a document by Python's own XML parser, which shares nothing with ours. */
const script = `
import json, sys, xml.etree.ElementTree as E
root = E.parse(sys.argv[1]).getroot()
v3 = '{urn:hl7-org:v3}'
ids = [e.get('ID') for e in root.iter() if e.get('ID')]
refs = [e.get('value') for e in root.iter(v3 + 'reference')]
print(json.dumps({
  'root': root.tag,
  'templates': [(t.get('root'), t.get('extension')) for t in root.findall(v3 + 'templateId')],
  'sections': {s.find(v3 + 'code').get('code'): [(t.get('root'), t.get('extension')) for t in s.findall(v3 + 'templateId')] for s in root.iter(v3 + 'section')},
  'duplicates': len(ids) - len(set(ids)),
  'references': len(refs),
  'dangling': [r for r in refs if r.lstrip('#') not in ids],
  'xsitypes': sorted(set(e.get('{http://www.w3.org/2001/XMLSchema-instance}type') for e in root.iter(v3 + 'value'))),
  'negated': [e.tag for e in root.iter() if e.get('negationInd') == 'true'],
}))`

const facts = (path: string) => JSON.parse(execFileSync('python3', ['-c', script, path], { encoding: 'utf8' }))

describe.skipIf(!python)(`documents of the demo, judged by Python${python ? '' : ' (skipped: no python3)'}`, () => {
  it('the C-CDA has the templates, sections and references of R2.1', () => {
    const said = facts(file('ccda.xml', sampleCcda()))
    const r21 = '2.16.840.1.113883.10.20.22'
    expect(said.root).toBe('{urn:hl7-org:v3}ClinicalDocument')
    expect(said.templates).toEqual([
      [`${r21}.1.1`, null],
      [`${r21}.1.1`, '2015-08-01'],
      [`${r21}.1.2`, null],
      [`${r21}.1.2`, '2015-08-01'],
    ])
    const section = (root: string, extension: string) => [
      [`${r21}.${root}`, null],
      [`${r21}.${root}`, extension],
    ]
    expect(said.sections).toEqual({
      '48765-2': section('2.6.1', '2015-08-01'),
      '11450-4': section('2.5.1', '2015-08-01'),
      '10160-0': section('2.1.1', '2014-06-09'),
      '11369-6': section('2.2.1', '2015-08-01'),
      '30954-2': section('2.3.1', '2015-08-01'),
      '8716-3': section('2.4.1', '2015-08-01'),
      '47519-4': section('2.7.1', '2014-06-09'),
      '46240-8': section('2.22.1', '2015-08-01'),
      '18776-5': section('2.10', '2014-06-09'),
    })
    expect(said.duplicates).toBe(0)
    expect(said.references).toBeGreaterThan(12)
    expect(said.dangling).toEqual([])
    expect(said.xsitypes).toEqual(['CD', 'IVL_PQ', 'PQ'])
    expect(said.negated).toEqual(['{urn:hl7-org:v3}substanceAdministration'])
  })

  it('the CCR is well-formed, in its namespace', () => {
    expect(facts(file('ccr.xml', sampleCcr())).root).toBe('{urn:astm-org:CCR}ContinuityOfCareRecord')
  })

  it('the XDM package is a sound zip with the names that XDM asks for', async () => {
    const path = file('xdm.zip', await sampleXdm())
    const said = execFileSync(
      'python3',
      [
        '-c',
        'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(z.testzip()); print("\\n".join(z.namelist()))',
        path,
      ],
      {
        encoding: 'utf8',
      },
    )
    expect(said.trim().split('\n')).toEqual([
      'None',
      'INDEX.HTM',
      'README.TXT',
      'IHE_XDM/SUBSET01/METADATA.XML',
      'IHE_XDM/SUBSET01/DOC0001.XML',
    ])
  })
})
