import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Logger, ServerStats } from '@bmt-central/realtime-protocol'
import type { RealtimeService } from '@bmt-central/realtime-server'

/** What `system:metrics` carries each second. */
export interface Metrics {
  readonly stats: ServerStats
  /** Share of one processor over the last second; 1 is all of it. */
  readonly cpu: number
  readonly memoryBytes: number
  /** How late timers came at worst over the last second, in ms. */
  readonly delayMs: number
}

export const METRICS_TOPIC = 'system:metrics'
const INTERVAL_MS = 1_000
const SHOWN_CHANNELS = 20

/** Publishes the server's statistics each second until it is stopped. */
export function publishMetrics(service: RealtimeService, logger: Logger): () => void {
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  const state = { cpu: process.cpuUsage(), at: performance.now(), busy: false }

  const measure = (): Metrics => {
    const now = performance.now()
    const { user, system } = process.cpuUsage(state.cpu)
    const cpu = (user + system) / 1_000 / Math.max(1, now - state.at)
    state.cpu = process.cpuUsage()
    state.at = now
    const delayMs = delay.max / 1e6
    delay.reset()
    const stats = service.getStats()
    const channelDetails = stats.channelDetails.slice(0, SHOWN_CHANNELS)
    return {
      stats: { ...stats, channelDetails },
      cpu,
      memoryBytes: process.memoryUsage.rss(),
      delayMs,
    }
  }
  const tick = async (): Promise<void> => {
    if (state.busy) return
    state.busy = true
    try {
      await service.publish(METRICS_TOPIC, measure())
    } catch (error) {
      logger.warn('metrics', { error })
    } finally {
      state.busy = false
    }
  }
  const timer = setInterval(() => void tick(), INTERVAL_MS)
  return () => {
    clearInterval(timer)
    delay.disable()
  }
}
