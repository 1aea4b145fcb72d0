import { availableParallelism } from 'node:os'
import process from 'node:process'
import { defineConfig } from 'vitest/config'
import { findPostgres } from './setup/programs.mjs'

/**
 * `fast`: everything that needs no other program and no socket storm; runs on every supported Node.
 * `peers`: what speaks to real programs (OpenSSL, PostgreSQL), spawns the built gateway, or kills it.
 * `postgres`: the main job and the demo once more, over a PostgreSQL server of their own.
 */
const peers = ['test/certification/**', 'test/e2e/**', 'test/fuzz/**', 'test/interop/**', 'test/torture/**']
/** One file after the other: they start programs, and look at clocks. */
const alone = { maxWorkers: 1, sequence: { groupOrder: 1 } }
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
          exclude: peers,
          testTimeout: 20_000,
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'peers',
          include: peers.map((p) => `${p}/*.test.ts`),
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
