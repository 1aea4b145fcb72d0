/** Why the directory did not change, with the words an operator reads in CLI and API. */
export const directoryProblems = {
  'bad-domain': 'Not a domain name: letters, digits and hyphens in labels, at most 253 characters.',
  'bad-address': 'Not a plain address of the form name@domain.',
  'bad-direction': 'The direction of an anchor is in, out or both.',
  'bad-bundle-name':
    'The name of a bundle is 1 to 64 lower-case letters, digits, hyphens and dots, beginning with a letter or digit.',
  'bad-url': 'A bundle is fetched from an http or https URL without a user name, of at most 2,000 characters.',
  'bad-interval': 'A bundle is loaded again after one minute at the soonest and one day at the latest.',
  'nothing-to-trust': 'No certificate of the bundle could be taken.',
  'bad-scope':
    'A token needs at least one known scope; `operator` and `apps` are for tokens of the whole gateway only.',
  'bad-account-name': 'The name of an account is 1 to 64 lower-case letters, digits, dots, hyphens, _ and @.',
  'useless-account': 'An account needs a domain or address to send as, or a mailbox to read.',
  'bad-policy': 'A policy setting has a value that does not exist.',
  'bad-rule':
    'A rule has a name of 1 to 64 lower-case letters, digits, hyphens and dots and at most 4,000 characters; one for `public` goes out.',
  'bad-encryption':
    'An encryption preference names an RSA transport (oaep-sha256, oaep-sha1, pkcs1-v1.5), a content cipher (aes-128-cbc to aes-256-gcm), or both.',
  'bad-proofing': 'Proof of identity needs a level (ial1, ial2 or ial3) and the method in a few words.',
  'bad-edge':
    'The name of a system is 1 to 64 lower-case letters, digits, hyphens and dots, beginning with a letter or digit.',
  'bad-local-part':
    'The name of an address that people choose is 3 to 64 lower-case letters and digits, with single dots, hyphens or _ between them.',
  'name-reserved':
    'This name is kept for the operator, or was somebody else’s: names are never given to a second person.',
  'activation-closed': 'Addresses of this domain are given out by its operator alone.',
  'already-exists': 'It is there already.',
  'not-found': 'There is no such thing.',
  'domain-not-served': 'The domain is not one this gateway serves; add it with `direct-gateway domain add`.',
  'address-not-served': 'The address is not one this gateway serves; add it with `direct-gateway address add`.',
  'domain-in-use': 'The domain still has addresses; remove them first.',
  'not-a-certificate': 'The bytes are not one X.509 certificate in DER form.',
  'test-only': 'The certificate is marked TEST ONLY: anybody can have its key, and only the demo takes it.',
  'not-bound':
    'No subjectAltName of the certificate names the owner (rfc822Name for an address, dNSName for a domain).',
  'bad-private-key': 'The bytes are not an unencrypted private key in PKCS#8 DER form.',
  'bad-token-uri':
    'Not the URI of a private key in a PKCS#11 token (RFC 7512), such as `pkcs11:token=mail;object=anna`; without PIN and module.',
  'key-mismatch': 'The private key does not belong to the certificate.',
  'weak-key': 'The key is smaller than 2048 bits (RSA) or on a curve other than P-256, P-384 and P-521.',
  'not-an-issuer': 'The certificate is not one of a certification authority.',
  'too-many': 'The owner has as many of these as the directory keeps; remove one first.',
  'changed-meanwhile': 'Somebody else changed it at the same moment; look again and repeat.',
} as const satisfies Record<string, string>

export type DirectoryProblem = keyof typeof directoryProblems

/** A change that was not made. `detail` names what was wrong, for people. */
export interface DirectoryRefusal {
  readonly kind: 'refused'
  readonly problem: DirectoryProblem
  readonly detail: string
}

export function problem(problem: DirectoryProblem, detail = ''): DirectoryRefusal {
  return { kind: 'refused', problem, detail }
}
