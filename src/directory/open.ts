import { openAccounts } from './accounts.js'
import { gatherRecords, openAddresses } from './addresses.js'
import { openAnchors } from './anchors.js'
import { openBundleAnchors } from './bundle-rows.js'
import { openBundles } from './bundles.js'
import type { Directory } from './directory.js'
import { openDomains } from './domains.js'
import { openEncryption } from './encryption.js'
import { openIssuers } from './issuers.js'
import { openKeys } from './keys.js'
import { openPeers } from './peers.js'
import { type DirectoryPorts, openRows } from './rows.js'
import { openTokens } from './tokens.js'

/** Opens the directory over a store. What is read is remembered, and our own changes keep that right. */
export async function openDirectory(ports: DirectoryPorts): Promise<Directory> {
  const rows = await openRows(ports)
  await gatherRecords(rows, ports)
  const addresses = openAddresses(rows, ports)
  return {
    domains: openDomains(rows, ports),
    addresses,
    keys: openKeys(rows, ports),
    anchors: openAnchors(rows, ports, openBundleAnchors(rows)),
    bundles: openBundles(rows, ports),
    peers: openPeers(rows, ports),
    encryption: openEncryption(rows, ports),
    issuers: openIssuers(rows, ports),
    tokens: openTokens(rows, addresses, ports),
    accounts: openAccounts(rows, addresses, ports),
    refresh: rows.refresh,
  }
}
