/** The folder of the newest PostgreSQL server programs, undefined where there are none. */
export function findPostgres(): string | undefined
/** Where a program stands, after installing it where root may; undefined where it is not to be had. */
export function ready(
  name:
    | 'openssl'
    | 'postgres'
    | 'gcc'
    | 'strace'
    | 'python3'
    | 'postfix'
    | 'bind'
    | 'dig'
    | 'slapd'
    | 'softhsm'
    | 'dovecot'
    | 'swaks'
    | 'fhirclient'
    | 'pkits',
): string | undefined
