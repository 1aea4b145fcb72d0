import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Metrics } from '../ports/observe.js'

interface Metric {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Label names; their values come from small fixed sets. */
  readonly labels?: readonly string[]
}

/** Every metric of the gateway, told under the prefix `direct_gateway_`. A name without a row here is a bug that a test finds. */
export const metricTable = {
  smtp_messages: { kind: 'counter', help: 'Messages at the end of DATA, by outcome.', labels: ['outcome'] },
  smtp_long_lines: { kind: 'counter', help: 'Messages with a line over 998 octets.' },
  smtp_connections: { kind: 'gauge', help: 'Open SMTP connections.' },
  smtp_refused_connections: { kind: 'counter', help: 'Connections turned away with 421.' },
  submission_messages: {
    kind: 'counter',
    help: 'Messages of edge systems at the end of DATA, by outcome.',
    labels: ['outcome'],
  },
  submission_long_lines: { kind: 'counter', help: 'Messages of edge systems with a line over 998 octets.' },
  submission_connections: { kind: 'gauge', help: 'Open SMTP connections of edge systems.' },
  submission_refused_connections: { kind: 'counter', help: 'Connections of edge systems turned away.' },
  submission_authentications: {
    kind: 'counter',
    help: 'Credentials that were said: accepted, refused, limited (not even looked at), failed (store).',
    labels: ['outcome'],
  },
  submission_held_bytes: { kind: 'gauge', help: 'Memory held for messages of edge systems in transfer.' },
  inbound_verdicts_total: {
    kind: 'counter',
    help: 'Verdicts, one for each recipient, by outcome and reason.',
    labels: ['outcome', 'reason'],
  },
  inbound_seconds: { kind: 'histogram', help: 'From claim to settled verdict of one message.' },
  outbound_verdicts_total: {
    kind: 'counter',
    help: 'Verdicts on recipients of what was submitted here, by outcome and reason.',
    labels: ['outcome', 'reason'],
  },
  notices_read_total: {
    kind: 'counter',
    help: 'What became of trusted notices from outside, one for each recipient they speak of.',
    labels: ['outcome'],
  },
  tracking_failures_total: {
    kind: 'counter',
    help: 'Recipients who failed by a deadline or were cancelled, by reason.',
    labels: ['reason'],
  },
  tracking_silent_domains: { kind: 'gauge', help: 'Domains that left the last message they took without a word.' },
  step_failures_total: { kind: 'counter', help: 'Steps that died in a worker thread, by step.', labels: ['step'] },
  delivery_outcomes: {
    kind: 'counter',
    help: 'Tries to hand over mail, by outcome and kind of mail.',
    labels: ['outcome', 'kind'],
  },
  delivery_attempt_seconds: { kind: 'histogram', help: 'One attempt to hand over mail.', labels: ['outcome'] },
  delivery_unreadable: { kind: 'counter', help: 'Jobs of the outbound queue that cannot be read: damage.' },
  delivery_errors: { kind: 'counter', help: 'Rounds of the delivery worker that failed.' },
  letters_total: { kind: 'counter', help: 'Letters to people, by kind and outcome.', labels: ['kind', 'outcome'] },
  webhook_deliveries_total: {
    kind: 'counter',
    help: 'Deliveries of events to webhooks, by outcome.',
    labels: ['endpoint', 'outcome'],
  },
  app_webhook_deliveries_total: {
    kind: 'counter',
    help: 'Deliveries of events to applications, by outcome.',
    labels: ['outcome'],
  },
  webhook_delivery_seconds: { kind: 'histogram', help: 'One delivery of an event, by outcome.', labels: ['outcome'] },
  webhook_behind_seconds: {
    kind: 'gauge',
    help: 'Age of the event that a webhook could not be told of; 0 where it has been told everything.',
    labels: ['endpoint'],
  },
  evidence_fetches_total: {
    kind: 'counter',
    help: 'Revocation lists, OCSP answers and issuers asked for over the network, by outcome.',
    labels: ['kind', 'outcome'],
  },
  evidence_store_failures_total: {
    kind: 'counter',
    help: 'Fetched lists, answers and issuers that the store could not keep or give.',
    labels: ['kind'],
  },
  queue_oldest_seconds: {
    kind: 'gauge',
    help: 'How long the most overdue job of a queue that nobody holds has waited.',
    labels: ['queue'],
  },
  api_requests_total: { kind: 'counter', help: 'HTTP requests.', labels: ['route', 'method', 'status'] },
  api_request_seconds: { kind: 'histogram', help: 'HTTP requests, by route.', labels: ['route'] },
  api_authentication_failures_total: { kind: 'counter', help: 'Requests with a token that is none of ours.' },
  bundle_refreshes_total: { kind: 'counter', help: 'Loads of trust bundles, by outcome.', labels: ['outcome'] },
  bundle_confirmed_timestamp_seconds: {
    kind: 'gauge',
    help: 'When the source of a trust bundle last confirmed the copy in force, Unix seconds.',
    labels: ['bundle'],
  },
  event_loop_delay_seconds: {
    kind: 'gauge',
    help: 'Delay of the event loop over the last interval.',
    labels: ['quantile'],
  },
  dns_answers_total: {
    kind: 'counter',
    help: 'Answers of the name server, by transport and code.',
    labels: ['transport', 'rcode'],
  },
  dns_limited_total: {
    kind: 'counter',
    help: 'Questions and connections of the name server that were turned away, by transport and how.',
    labels: ['transport', 'action'],
  },
  dns_connections: { kind: 'gauge', help: 'Open TCP connections of the name server.' },
  ldap_publishing_failures_total: { kind: 'counter', help: 'Rounds of publishing to the LDAP directory that failed.' },
  ldap_published_entries: { kind: 'gauge', help: 'Entries of ours in the LDAP directory after the last round.' },
  dovecot_publishing_failures_total: {
    kind: 'counter',
    help: 'Rounds of writing the accounts file of Dovecot that failed.',
  },
  dovecot_published_accounts: { kind: 'gauge', help: 'Accounts in the file of Dovecot after the last round.' },
  certificate_expires_seconds: {
    kind: 'gauge',
    help: 'Until the first of its kind ends that nothing newer has replaced; negative afterwards.',
    labels: ['kind'],
  },
  certificate_warnings_total: {
    kind: 'counter',
    help: 'Warnings of ends, by kind and days before.',
    labels: ['kind', 'days'],
  },
  certificate_renewals_failed_total: { kind: 'counter', help: 'Renewals of certificates of ours that failed.' },
  authority_file_requests_total: {
    kind: 'counter',
    help: 'Requests for files of our authorities on their own listener.',
    labels: ['status'],
  },
  unregistered_metrics_total: { kind: 'counter', help: 'Calls with a name or labels that have no row: a bug.' },
} as const satisfies Record<string, Metric>

export const metricPrefix = 'direct_gateway_'

export const metricLimits = {
  /** Series of one metric; further label values are told as `other`, so that nobody fills memory with names. */
  series: 500,
}

/** From a quick reply to a 60 MiB message over a slow line. */
const buckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120]

export interface MetricsRegistry extends Metrics {
  /** Everything in the Prometheus text format. */
  exposition(): Promise<string>
}

/** Registers all metrics, and those of the process. A call with an unknown name or label is counted, never thrown. */
export function openMetrics({ process = true }: { readonly process?: boolean } = {}): MetricsRegistry {
  const registry = new Registry()
  if (process) collectDefaultMetrics({ register: registry })
  const known = new Map<string, Counter | Gauge | Histogram>()
  const series = new Map<string, Set<string>>()
  for (const [name, metric] of Object.entries(metricTable) as [string, Metric][]) {
    const full = {
      name: metricPrefix + name,
      help: metric.help,
      labelNames: metric.labels ?? [],
      registers: [registry],
    }
    if (metric.kind === 'counter') known.set(name, new Counter(full))
    else if (metric.kind === 'gauge') known.set(name, new Gauge(full))
    else known.set(name, new Histogram({ ...full, buckets }))
  }

  function unregistered(): void {
    const counter = known.get('unregistered_metrics_total')
    if (counter instanceof Counter) counter.inc()
  }

  /** The labels as registered: each declared one once, strange ones left out, `other` beyond the limit of series. */
  function labelsOf(name: string, given: Readonly<Record<string, string>>): Record<string, string> {
    const declared = (metricTable as Record<string, Metric>)[name]?.labels ?? []
    if (Object.keys(given).some((label) => !declared.includes(label))) unregistered()
    const labels = Object.fromEntries(declared.map((label) => [label, given[label] ?? '']))
    const seen = series.get(name) ?? new Set()
    series.set(name, seen)
    const id = JSON.stringify(labels)
    if (!seen.has(id) && seen.size >= metricLimits.series) return Object.fromEntries(declared.map((l) => [l, 'other']))
    seen.add(id)
    return labels
  }

  return {
    count(name, labels = {}, by = 1) {
      const counter = known.get(name)
      if (counter instanceof Counter && by >= 0) counter.inc(labelsOf(name, labels), by)
      else unregistered()
    },
    observe(name, seconds, labels = {}) {
      const histogram = known.get(name)
      if (histogram instanceof Histogram && Number.isFinite(seconds)) histogram.observe(labelsOf(name, labels), seconds)
      else unregistered()
    },
    gauge(name, value, labels = {}) {
      const gauge = known.get(name)
      if (gauge instanceof Gauge && Number.isFinite(value)) gauge.set(labelsOf(name, labels), value)
      else unregistered()
    },
    exposition: () => registry.metrics(),
  }
}
