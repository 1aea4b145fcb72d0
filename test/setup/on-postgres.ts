import type { TestProject } from 'vitest/node'
import { startCluster } from '../fixtures/postgres.js'

/** A PostgreSQL server for a whole run: its workers find its URL in TEST_POSTGRES_URL, and take a database of it each. */
export async function setup(project: TestProject) {
  const cluster = await startCluster({ durable: true })
  project.config.env = { ...project.config.env, TEST_POSTGRES_URL: cluster.url('postgres') }
  return () => cluster.destroy()
}
