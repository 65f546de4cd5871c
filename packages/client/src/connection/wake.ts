import type { Cancel } from '@bmt-central/realtime-protocol'

/** Tells when the network or the page may have changed its state [C4]. */
export type Wake = (listener: () => void) => Cancel

/** The network's and the page's own events where there are any; elsewhere it never tells. */
export const browserWake: Wake = (listener) => {
  const scope: Partial<Window> = globalThis as unknown as Partial<Window>
  const page = scope.document
  const shown = (): void => {
    if (page?.visibilityState === 'visible') listener()
  }
  const heard: [Partial<EventTarget> | undefined, string, () => void][] = [
    [scope, 'online', listener],
    [scope, 'offline', listener],
    [scope, 'pageshow', listener],
    [page, 'visibilitychange', shown],
    [page, 'resume', listener],
  ]
  for (const [target, event, run] of heard) target?.addEventListener?.(event, run)
  return () => {
    for (const [target, event, run] of heard) target?.removeEventListener?.(event, run)
  }
}
