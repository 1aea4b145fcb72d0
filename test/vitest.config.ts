import { availableParallelism } from 'node:os'
import process from 'node:process'
import { defineConfig } from 'vitest/config'
import { findPostgres } from './setup/programs.mjs'

/**
 * `fast`: everything that needs no other program and no socket storm; runs on every supported Node.
 * `peers`: what speaks to real programs (OpenSSL, PostgreSQL) or to the built gateway; mostly waiting, so two files at once.
 * `alone`: what kills the gateway, fuzzes it, or looks at clocks, and keeps the whole machine busy.
 * `postgres`: the main job and the demo once more, over a PostgreSQL server of their own.
 */
const peers = ['test/e2e/**', 'test/interop/**']
const busy = [
  'test/certification/**',
  'test/fuzz/**',
  'test/torture/**',
  'test/interop/*-time*',
  'test/interop/workers*',
  'test/e2e/*-kill*',
]
/** One file after the other. */
const alone = { maxWorkers: 1, sequence: { groupOrder: 2 } }
const waitsMs = { testTimeout: 120_000, hookTimeout: 120_000 }

const onPostgres = findPostgres() !== undefined
if (!onPostgres) process.stderr.write('SKIPPED: the main job and the demo over PostgreSQL: no server is installed\n')

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: [...peers, ...busy],
          testTimeout: 20_000,
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'peers',
          include: peers.map((p) => `${p}/*.test.ts`),
          exclude: busy,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...waitsMs,
        },
      },
      {
        test: {
          name: 'alone',
          include: busy.map((p) => (p.endsWith('/**') ? `${p}/*.test.ts` : `${p}.test.ts`)),
          ...alone,
          ...waitsMs,
        },
      },
      {
        test: {
          name: 'postgres',
          include: onPostgres ? ['test/e2e/api.test.ts', 'test/e2e/demo.test.ts'] : [],
          globalSetup: ['test/setup/on-postgres.ts'],
          ...alone,
          ...waitsMs,
        },
      },
    ],
  },
})
