/**
 * TLS of every listener of ours: 1.2 and 1.3 (RFC 8996) with suites that FIPS 140 approves and that keep past traffic secret
 * (NIST SP 800-52r2 §3.3.1), over curves that it approves (SP 800-56Ar3 appendix D). Every client that speaks TLS 1.2 has one
 * of each.
 */
export const serverTls = {
  minVersion: 'TLSv1.2',
  honorCipherOrder: true,
  ecdhCurve: 'P-256:P-384:P-521',
  ciphers: [
    ...['TLS_AES_256_GCM_SHA384', 'TLS_AES_128_GCM_SHA256'],
    ...['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
    ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
    ...['DHE-RSA-AES256-GCM-SHA384', 'DHE-RSA-AES128-GCM-SHA256'],
    ...['ECDHE-ECDSA-AES256-SHA384', 'ECDHE-RSA-AES256-SHA384'],
    ...['ECDHE-ECDSA-AES128-SHA256', 'ECDHE-RSA-AES128-SHA256'],
  ].join(':'),
} as const
