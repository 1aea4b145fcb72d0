/** Items as applications write them. */
export function problemItem(text: string, more: object = {}) {
  const snomed = { system: 'http://snomed.info/sct', code: '386661006' }
  return { content: { type: 'problem', problem: { codings: [snomed], text } }, ...more }
}

export function noteItem(text: string, more: object = {}) {
  const kind = { codings: [{ system: 'http://loinc.org', code: '34109-9' }] }
  return { content: { type: 'note', kind, text }, ...more }
}
