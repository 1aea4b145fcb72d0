/** What name servers of the far side say: one zone, `test`, as data, for our own server and for BIND alike. */
export type ZoneRecord =
  | { readonly name: string; readonly type: 'A'; readonly address: string }
  | { readonly name: string; readonly type: 'MX'; readonly exchange: string }
  | { readonly name: string; readonly type: 'NS'; readonly host: string }
  | {
      readonly name: string
      readonly type: 'SRV'
      readonly priority: number
      readonly weight: number
      readonly port: number
      readonly target: string
    }
  /** PKIX (RFC 4398 §2.1), DER. */
  | { readonly name: string; readonly type: 'CERT'; readonly certificate: Buffer }

export const origin = 'test'

/** Names where mail for a domain arrives on this machine, and which has no more to it than that. */
export function mailDomain(domain: string): readonly ZoneRecord[] {
  return [
    { name: domain, type: 'A', address: '127.0.0.1' },
    { name: domain, type: 'MX', exchange: domain },
  ]
}

/** RDATA of a CERT record: type PKIX, no key tag, RSASHA256. */
export function certData(certificate: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0, 1, 0, 0, 8]), certificate])
}

/** The zone as a master file (RFC 1035 §5). */
export function masterFile(records: readonly ZoneRecord[]): string {
  const lines = records.map((record) => `${record.name}. 300 IN ${record.type} ${dataOf(record)}`)
  return [
    '$TTL 300',
    `${origin}. 300 IN SOA ns.${origin}. hostmaster.${origin}. 1 300 300 300 300`,
    `${origin}. 300 IN NS ns.${origin}.`,
    `ns.${origin}. 300 IN A 127.0.0.1`,
    ...lines,
    '',
  ].join('\n')
}

function dataOf(record: ZoneRecord): string {
  switch (record.type) {
    case 'A':
      return record.address
    case 'MX':
      return `10 ${record.exchange}.`
    case 'NS':
      return `${record.host}.`
    case 'SRV':
      return `${record.priority} ${record.weight} ${record.port} ${record.target}.`
    case 'CERT':
      return `PKIX 0 8 ${record.certificate.toString('base64')}`
  }
}
