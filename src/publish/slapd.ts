/** A directory server that tells strangers what they can name, and lists nothing. */
export interface SlapdOptions {
  /** The top of the tree: `dc=clinic,dc=example` or `o=direct`. */
  readonly suffix: string
  /** The unit that the gateway keeps. */
  readonly baseDn: string
  /** Who the gateway binds as, and the hash of its password as `slappasswd` makes it. */
  readonly publisherDn: string
  readonly publisherPassword: string
  /** Where the database stands; it must be there and belong to slapd. */
  readonly folder: string
  readonly schemaFolder?: string
  readonly moduleFolder?: string
}

/**
 * A slapd.conf for OpenLDAP 2.5 and later (`slaptest -f … -F …` turns it into cn=config). Strangers may read `cn`, `mail` and
 * certificates of what they name. What keeps them from listing is `size.unchecked=1`: a search whose indexes leave more than one
 * candidate is refused before any entry is looked at, and only equality of `mail` is indexed.
 */
export function slapdConfiguration(options: SlapdOptions): string {
  const { suffix, baseDn, publisherDn, publisherPassword, folder } = options
  const { schemaFolder = '/etc/ldap/schema', moduleFolder = '/usr/lib/ldap' } = options
  return `${[
    ...['core', 'cosine', 'inetorgperson'].map((schema) => `include ${schemaFolder}/${schema}.schema`),
    `modulepath ${moduleFolder}`,
    'moduleload back_mdb',
    `pidfile ${folder}/slapd.pid`,
    `argsfile ${folder}/slapd.args`,
    '# A question is short; answers that nobody takes, and silence, end a connection.',
    'sockbuf_max_incoming 8192',
    'conn_max_pending 16',
    'idletimeout 30',
    'writetimeout 10',
    'timelimit 5',
    '# Where the tree begins (namingContexts), which finders ask first.',
    'access to dn.base="" by * read',
    'access to dn.base="cn=Subschema" by * read',
    '',
    'database mdb',
    `suffix "${suffix}"`,
    `directory ${folder}`,
    'maxsize 1073741824',
    'index objectClass eq',
    'index mail eq',
    'index description eq',
    '# One candidate, one entry, no pages: an exact mail= finds it, everything else is refused.',
    'limits anonymous size.soft=1 size.hard=1 size.unchecked=1 size.prtotal=disabled time.soft=5 time.hard=5',
    `rootdn "${publisherDn}"`,
    `rootpw ${publisherPassword}`,
    `access to dn.base="${suffix}" attrs=entry by anonymous search by * none`,
    `access to dn.base="${baseDn}" attrs=entry by anonymous search by * none`,
    `access to dn.onelevel="${baseDn}" attrs=entry,objectClass,cn,mail,userCertificate by anonymous read by * none`,
    'access to * by * none',
  ].join('\n')}\n`
}
