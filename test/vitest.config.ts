import { defineConfig } from 'vitest/config'

/**
 * `fast`: everything that needs no other program and no socket storm; runs on every supported Node.
 * `peers`: what speaks to real programs (OpenSSL), spawns the built gateway, or kills it.
 */
const peers = ['test/e2e/**', 'test/interop/**', 'test/torture/**']

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: peers,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'peers',
          include: peers.map((p) => `${p}/*.test.ts`),
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
