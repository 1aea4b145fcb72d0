import { workerData } from 'node:worker_threads'
import { openSteps, type ThreadSteps } from './steps.js'
import type { TokenSettings } from './tokens.js'

/** What the pool hands to its threads when they start. */
export interface ThreadData {
  /** 32 bytes. */
  readonly masterKey: Uint8Array
  readonly tokens?: TokenSettings
}

/** One step with its arguments, as the pool posts it. */
export type Task = { readonly [Name in keyof ThreadSteps]: Parameters<ThreadSteps[Name]> }

// Small Buffers share memory, and what is posted brings all the memory that it shares: an answer would take pieces of
// private keys along to the main thread. Here each has its own.
Buffer.poolSize = 0

const { masterKey, tokens } = workerData as ThreadData
const steps = openSteps(masterKey, tokens)

// What a pool thread offers, by name.
export const open = (task: Task['open']) => steps.open(...task)
export const read = (task: Task['read']) => steps.read(...task)
export const view = (task: Task['view']) => steps.view(...task)
export const write = (task: Task['write']) => steps.write(...task)
export const seal = (task: Task['seal']) => steps.seal(...task)
export const newKey = (task: Task['newKey']) => steps.newKey(...task)
export const signData = (task: Task['signData']) => steps.signData(...task)
export const bindKey = (task: Task['bindKey']) => steps.bindKey(...task)
export const checkToken = (task: Task['checkToken']) => steps.checkToken(...task)
export const tokenPublicKey = (task: Task['tokenPublicKey']) => steps.tokenPublicKey(...task)
