/** Bits of an address: 32 or 128; undefined for what is no address. */
function bitsOf(address: string): string | undefined {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  if (!plain.includes(':')) {
    const parts = plain.split('.')
    if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
      return undefined
    return parts.map((part) => Number(part).toString(2).padStart(8, '0')).join('')
  }
  const halves = plain.split('::')
  const [head = [], tail] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - head.length - (tail?.length ?? 0)
  if (halves.length > 2 || (tail ? missing < 1 : missing !== 0)) return undefined
  const groups = [...head, ...Array<string>(tail ? missing : 0).fill('0'), ...(tail ?? [])]
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined
  return groups.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('')
}

/** Bits of a CIDR prefix (RFC 4632 §3.1) whose other bits are zero; undefined for anything else. */
function prefixOf(text: string): { readonly bits: string; readonly size: number } | undefined {
  const [address = '', length = ''] = text.split('/')
  const bits = bitsOf(address)
  if (!bits || text.split('/').length !== 2 || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined
  const most = Number(length)
  if (most > bits.length || /1/.test(bits.slice(most))) return undefined
  return { bits: bits.slice(0, most), size: bits.length }
}

/** Whether a text is a CIDR prefix such as `192.0.2.0/24` or `2001:db8::/32`. */
export function isNetwork(text: string): boolean {
  return text.length <= 50 && prefixOf(text) !== undefined
}

/** Whether an address lies in one of the networks; one that is no address lies in none. */
export function isInNetworks(networks: readonly string[], address: string): boolean {
  const bits = bitsOf(address)
  if (!bits) return false
  return networks.some((network) => {
    const prefix = prefixOf(network)
    return prefix !== undefined && prefix.size === bits.length && bits.startsWith(prefix.bits)
  })
}
