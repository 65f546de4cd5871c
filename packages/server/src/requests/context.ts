import type { Runtime } from '@bmt-central/realtime-protocol'
import type { Accepted, Broker } from '../broker/broker.js'
import type { FanOut } from '../delivery/fan-out.js'
import type { Hub } from '../hub/hub.js'
import type { Journal } from '../journal.js'
import type { Budgets } from '../limits/budgets.js'
import type { Limits } from '../limits/limits.js'

/** A publish that is being carried out: a resend of it waits for the same result [P4]. */
export interface PublishInProgress {
  readonly hash: string
  readonly result: Promise<Accepted>
}

/** What requests are carried out with. */
export interface RequestContext {
  readonly hub: Hub
  readonly broker: Broker
  readonly limits: Limits
  readonly budgets: Budgets
  readonly runtime: Runtime
  readonly journal: Journal
  readonly fanOut: FanOut
  /** Whether clients are sent the rules, so that a refusal may name one [R8]. */
  readonly rulesShown: boolean
  /** Publishes in progress that take longer than one turn, by their key; at most L15 a connection. */
  readonly publishing: Map<string, PublishInProgress>
  /** The last of them by user, instance and topic: no more than there are of those. */
  readonly unfinished: Map<string, Promise<void>>
}
