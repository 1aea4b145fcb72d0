/**
 * What a client reads when something is refused: RFC 9457 problem details with a stable `code`. The words are generic;
 * the cause stands in the audit log under the request id. One row a code, so a refusal without its words does not compile.
 */
export const problems = {
  'invalid-request': { status: 400, detail: 'The request is not valid; `errors` names each value that is wrong.' },
  'invalid-cursor': {
    status: 400,
    detail: 'The cursor is not one that a list of this API gave out; start at the first page.',
  },
  unauthenticated: { status: 401, detail: 'This needs a valid token: `Authorization: Bearer <token>`.' },
  'missing-scope': { status: 403, detail: 'The token does not have the scope that this needs.' },
  'access-denied': { status: 403, detail: 'What was granted here does not allow this.' },
  csrf: { status: 403, detail: 'A change needs the header `x-csrf-token` of this session, from our own origin.' },
  'prove-again': { status: 403, detail: 'This needs a fresh proof of who you are: POST /api/v1/account/prove.' },
  'not-proved': { status: 403, detail: 'What was entered is not right, or not for this account.' },
  'tls-required': { status: 403, detail: 'This API answers over TLS only.' },
  'wrong-answer': { status: 403, detail: 'The answer is not right; `errors` says how many tries are left.' },
  'not-found': { status: 404, detail: 'There is no such thing, or this token may not see it.' },
  'version-mismatch': { status: 412, detail: 'It changed since it was read; read it again and repeat.' },
  'version-missing': { status: 428, detail: 'Say which version was read: `If-Match`, or `version` of the change.' },
  'read-only': { status: 409, detail: 'It is read-only: neither changed nor deleted by anybody.' },
  singleton: { status: 409, detail: 'The record has this already, and only once; change that one.' },
  'quota-exceeded': { status: 409, detail: 'The record is full; what is deleted makes no room, an operator does.' },
  'client-id-used': { status: 409, detail: 'Something else was created under this client id before.' },
  'blob-missing': { status: 409, detail: 'No finished upload of this record has these bytes.' },
  'upload-offset': {
    status: 409,
    detail: 'The piece does not begin where the last one ended; `Upload-Offset` says where.',
  },
  'hash-mismatch': { status: 422, detail: 'What came is not what was announced; begin the upload again.' },
  'too-large': { status: 413, detail: 'The request body is larger than this API takes.' },
  'unsupported-media-type': { status: 415, detail: 'The request body must be application/json.' },
  'patient-mismatch': {
    status: 409,
    detail: 'The record seems to be of somebody else; `errors` says why. Choose another one, or confirm this one.',
  },
  'being-worked-on': { status: 409, detail: 'A worker has it now; repeat in a moment.' },
  'not-possible': { status: 409, detail: 'This cannot be done to it; `errors` says why, and what can.' },
  conflict: { status: 409, detail: 'Somebody else changed it at the same moment; repeat.' },
  'not-sendable': {
    status: 422,
    detail: 'The message cannot be sent as it is; `errors` names the refusal and what to do.',
  },
  'link-passcode': { status: 403, detail: 'The link wants its passcode, or another one; `errors` says what is left.' },
  'link-ended': { status: 409, detail: 'Whoever gave the link ended it, or its time is over; ask for another one.' },
  'link-unreachable': {
    status: 409,
    detail: 'Nobody answers behind the link now; `errors` says more. Try again later.',
  },
  'link-unreadable': { status: 422, detail: 'This is no SMART Health Link that can be followed; `errors` says why.' },
  'link-empty': { status: 422, detail: 'The link holds nothing for a record; `errors` says what was left out.' },
  unprocessable: { status: 422, detail: 'The resource cannot be kept as it is.' },
  'message-id-reused': {
    status: 409,
    detail: 'Another message was sent to the same recipients under this Message-ID or Idempotency-Key.',
  },
  'too-many-requests': { status: 429, detail: 'Too many requests; wait as long as Retry-After says.' },
  internal: { status: 500, detail: 'Something went wrong on our side; the operator finds it by the request id.' },
  unreadable: { status: 500, detail: 'What is stored here cannot be read; the operator finds it by the request id.' },
  unavailable: { status: 503, detail: 'The gateway cannot answer this now; try again later.' },
} as const satisfies Record<string, { readonly status: number; readonly detail: string }>

export type ProblemCode = keyof typeof problems

/** Thrown by a handler to end the request with a problem; the error handler turns it into the response. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly code: ProblemCode
  readonly headers: Readonly<Record<string, string>>
  readonly errors: readonly FieldError[] | undefined
  readonly healthvaultStatus: number | undefined

  constructor(
    code: ProblemCode,
    headers: Readonly<Record<string, string>> = {},
    errors?: readonly FieldError[],
    healthvaultStatus?: number,
  ) {
    super(code)
    this.code = code
    this.headers = headers
    this.errors = errors
    this.healthvaultStatus = healthvaultStatus
  }
}

/** One value of a request that is wrong: `query.limit`, and why. */
export interface FieldError {
  readonly where: string
  readonly detail: string
}

const titles: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** The body of a problem response (RFC 9457 §3.1). `type` is about:blank, so `title` is the status phrase (§4.2.1). */
export function problemBody(
  code: ProblemCode,
  requestId: string,
  errors?: readonly FieldError[],
  healthvaultStatus?: number,
) {
  const { status, detail } = problems[code]
  return {
    type: 'about:blank',
    title: titles[status] ?? 'Error',
    status,
    detail,
    code,
    instance: `urn:uuid:${requestId}`,
    ...(errors ? { errors: [...errors] } : {}),
    ...(healthvaultStatus === undefined ? {} : { healthvaultStatus }),
  }
}

export const problemType = 'application/problem+json'
