import {
  RealtimeError,
  type Cancel,
  type ClientStats,
  type PublishAck,
} from '@bmt-central/realtime-protocol'
import type { ConnectionEvent } from './connection/driver.js'
import type { RealtimeOptions } from './options.js'
import type { PublishOptions } from './publishing/entry.js'
import { RealtimeClient } from './realtime-client.js'
import { builtInAllows } from './rights.js'
import type {
  MessageListener,
  SubscribeOptions,
  Subscription,
} from './subscriptions/subscription.js'

interface DefaultClient {
  readonly client: RealtimeClient
  readonly options: RealtimeOptions
}

/** The one piece of module state: what `Realtime` forwards to. */
let current: DefaultClient | null = null

/** The default client: a thin facade over one `RealtimeClient`. */
export const Realtime = {
  /**
   * Makes the default client. One before it is closed, unless it is in use with other options.
   * @throws RealtimeError `invalid_options`
   */
  init(options: RealtimeOptions): RealtimeClient {
    if (current !== null && isInUse(current.client)) {
      if (isEqual(current.options, options)) return current.client
      const message = 'Realtime is connected with other options: disconnect() first'
      throw new RealtimeError('invalid_options', message)
    }
    const client = new RealtimeClient(options)
    void current?.client.close()
    current = { client, options: { ...options } }
    return client
  },

  /** Resolves when `connected` has arrived; rejects on a final refusal. With options: `init` first. */
  async connect(options?: RealtimeOptions & { signal?: AbortSignal }): Promise<void> {
    const { signal, ...rest } = options ?? {}
    if ('url' in rest) Realtime.init(rest)
    await defaultClient().connect(signal === undefined ? {} : { signal })
  },

  /** Keeps subscriptions and queue; `connect()` brings them back. */
  disconnect(): void {
    current?.client.disconnect()
  },

  /** As `RealtimeClient.subscribe`. */
  subscribe<T = unknown>(
    topic: string,
    listener?: MessageListener<T>,
    options?: SubscribeOptions,
  ): Subscription<T> {
    return defaultClient().subscribe(topic, listener, options)
  },

  /** As `RealtimeClient.publish`. */
  async publish(topic: string, payload: unknown, options?: PublishOptions): Promise<PublishAck> {
    return defaultClient().publish(topic, payload, options)
  },

  /** As `RealtimeClient.onConnection`. */
  onConnection(listener: (event: ConnectionEvent) => void): Cancel {
    return defaultClient().onConnection(listener)
  },

  /** As `RealtimeClient.getStats`. */
  getStats(): ClientStats {
    return defaultClient().getStats()
  },

  /** As `RealtimeClient.canAccessChannel`; without a client by the built-in rules. */
  canAccessChannel(
    channel: string,
    userRole: string,
    userId: string,
    permissions?: readonly string[],
  ): boolean {
    return current === null
      ? ChannelPermissions.canAccess(channel, userRole, userId, permissions)
      : current.client.canAccessChannel(channel, userRole, userId, permissions)
  },

  /** As `RealtimeClient.canPublishToChannel`; without a client by the built-in rules. */
  canPublishToChannel(
    channel: string,
    userRole: string,
    userId: string,
    permissions?: readonly string[],
  ): boolean {
    return current === null
      ? ChannelPermissions.canPublish(channel, userRole, userId, permissions)
      : current.client.canPublishToChannel(channel, userRole, userId, permissions)
  },
}

/** The original SDK's names. Where the default client knows no rules: the built-in ones alone. */
export const ChannelPermissions = {
  canAccess(
    channel: string,
    userRole: string,
    userId: string,
    permissions?: readonly string[],
  ): boolean {
    return current?.client.knowsRules
      ? current.client.canAccessChannel(channel, userRole, userId, permissions)
      : builtInAllows('subscribe', { channel, role: userRole, userId, permissions })
  },

  canPublish(
    channel: string,
    userRole: string,
    userId: string,
    permissions?: readonly string[],
  ): boolean {
    return current?.client.knowsRules
      ? current.client.canPublishToChannel(channel, userRole, userId, permissions)
      : builtInAllows('publish', { channel, role: userRole, userId, permissions })
  },
}

function defaultClient(): RealtimeClient {
  if (current !== null) return current.client
  const message = 'Realtime has no client yet: call init(options) or connect(options) first'
  throw new RealtimeError('invalid_options', message)
}

function isInUse({ status }: RealtimeClient): boolean {
  return status === 'connecting' || status === 'connected' || status === 'reconnecting'
}

/** Options that are objects with a life of their own. */
const PARTS = new Set<keyof RealtimeOptions>(['runtime', 'logger', 'outboxStore'])

function isEqual(a: RealtimeOptions, b: RealtimeOptions): boolean {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof RealtimeOptions>
  return [...keys].every((key) => {
    const [one, other] = [a[key], b[key]]
    // Lists and small objects are written anew at every call; functions must be the same ones.
    const plain = typeof one === 'object' && !PARTS.has(key)
    return plain ? JSON.stringify(one) === JSON.stringify(other) : Object.is(one, other)
  })
}
