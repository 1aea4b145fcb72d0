/** What a target may take, and how the harness is paced. */
export const fuzzLimits = {
  /** For one input. The largest honest one, a list of 100,000 entries, takes milliseconds. */
  inputMs: 1_000,
  /** An input that took longer is weighed. Touching 256 MiB of memory takes twice as long at least. */
  weighMs: 20,
  /** More than after the seeds. Caches of what was parsed hold some 20 MiB. */
  memoryBytes: 256 * 1024 * 1024,
  /** Larger inputs are left to the limits of whoever reads them from the network. */
  inputBytes: 256 * 1024,
  /** Larger ones are not gone on from: changing them takes longer than reading them. */
  keptBytes: 16 * 1024,
  /** Inputs between two looks at the coverage. */
  batch: 200,
  /** Without a next input, the child counts as stuck. */
  stuckMs: 5_000,
  /** Children at once. */
  children: 2,
  /** Heap of a child: what it needs beyond is a finding, and not the end of the machine. */
  heapMib: 768,
}
