import type { IncomingHttpHeaders } from 'node:http'

const LOCAL_NAMES = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Whether `Host` names this machine: a page that rebinds its own name to it is turned away. */
export function isLocalHost(host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(`http://${host}`)) return false
  return LOCAL_NAMES.has(new URL(`http://${host}`).hostname)
}

/** The header that only a page of the same origin can set, and what it must say. */
export const CONTROL_HEADER = 'x-playground'
export const KILL_ACTION = 'kill-the-server'

/**
 * Whether a request was made by the playground's own page: another web page can neither set the
 * header without asking first (which nobody answers), nor choose the origin that its browser names.
 */
export function isOwnPage(headers: IncomingHttpHeaders, action: string): boolean {
  const { host, origin } = headers
  const site = headers['sec-fetch-site']
  return (
    isLocalHost(host) &&
    origin === `http://${host}` &&
    (site === undefined || site === 'same-origin') &&
    headers[CONTROL_HEADER] === action
  )
}
