import type { Batch } from './store.js'

/** What an application is told of: ids only, those that it knows; never what a person wrote or a record holds. */
export interface AppEvent {
  /** `connect.authorized`: dots and underscores only (Standard Webhooks). */
  readonly type: string
  /** Unix milliseconds. */
  readonly at: number
  readonly data: Readonly<Record<string, string | boolean>>
}

/** Tells applications at their webhooks, signed, until they took it or days have passed. */
export interface AppEvents {
  /**
   * What must be committed so that the application is told; empty where it has no webhook. `once` names the event: the same
   * one is told once, under the same id.
   */
  event(app: string, event: AppEvent, once: string): Promise<Batch>
}
