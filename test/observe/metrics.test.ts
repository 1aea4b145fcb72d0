import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { metricLimits, metricPrefix, metricTable, openMetrics } from '../../src/observe/metrics.js'

describe('metrics', () => {
  it('tells counters, gauges and histograms with their help', async () => {
    const metrics = openMetrics({ process: false })
    metrics.count('smtp_messages', { outcome: 'accepted' })
    metrics.count('smtp_messages', { outcome: 'accepted' }, 2)
    metrics.gauge('smtp_connections', 7)
    metrics.observe('inbound_seconds', 0.2)
    const text = await metrics.exposition()
    expect(text).toContain('# HELP direct_gateway_smtp_messages Messages at the end of DATA, by outcome.')
    expect(text).toContain('direct_gateway_smtp_messages{outcome="accepted"} 3')
    expect(text).toContain('direct_gateway_smtp_connections 7')
    expect(text).toContain('direct_gateway_inbound_seconds_bucket{le="0.25"} 1')
  })

  it('counts wrong calls instead of throwing', async () => {
    const metrics = openMetrics({ process: false })
    metrics.count('nobody_knows')
    metrics.gauge('smtp_messages', 1)
    metrics.count('smtp_messages', { colour: 'blue' })
    metrics.count('smtp_messages', { outcome: 'accepted' }, -1)
    metrics.observe('inbound_seconds', Number.NaN)
    expect(await metrics.exposition()).toContain(`${metricPrefix}unregistered_metrics_total 5`)
  })

  it('does not grow with the names a stranger invents', async () => {
    const metrics = openMetrics({ process: false })
    for (let i = 0; i < metricLimits.series * 2; i++) metrics.count('smtp_messages', { outcome: `o${i}` })
    const lines = (await metrics.exposition())
      .split('\n')
      .filter((line) => line.startsWith('direct_gateway_smtp_messages{'))
    expect(lines).toHaveLength(metricLimits.series + 1)
    expect(lines.at(-1)).toBe(`direct_gateway_smtp_messages{outcome="other"} ${metricLimits.series}`)
  })

  it('tells of the process too', async () => {
    expect(await openMetrics().exposition()).toContain('process_resident_memory_bytes')
  })

  it('has a row for every metric that the source names, with its labels, and no other rows', () => {
    const source = fileURLToPath(new URL('../../src', import.meta.url))
    const calls = readdirSync(source, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => [
        ...readFileSync(join(source, file), 'utf8').matchAll(
          /metrics\??\.(count|observe|gauge)\(\s*'([^']+)'([^;]*?)\)\n/g,
        ),
      ])
      .map(([, call = '', name = '', rest = '']) => {
        const labels = /\{([^}]*)\}\s*$/.exec(rest)?.[1] ?? ''
        const names = labels.split(',').map((label) => label.split(':')[0]?.trim() ?? '')
        return `${call} ${name} ${names
          .filter((label) => label !== '')
          .sort()
          .join(' ')}`.trim()
      })
    const kinds = { counter: 'count', gauge: 'gauge', histogram: 'observe' } as const
    const rows = Object.entries<{ kind: keyof typeof kinds; labels?: readonly string[] }>(metricTable)
      .filter(([name]) => name !== 'unregistered_metrics_total')
      .map(([name, { kind, labels = [] }]) => `${kinds[kind]} ${name} ${[...labels].sort().join(' ')}`.trim())
    expect([...new Set(calls)].sort()).toEqual(rows.sort())
  })
})
