import { isLoopback } from '../auth/dev.js'

/** The part of a request that decides whether a browser may talk to this server [W9]. */
export interface OriginRequest {
  readonly origin: string | undefined
  readonly host: string | undefined
}

/**
 * Whether a request may come in [W9]: no `Origin` (not a browser), the request's own host, or a
 * listed origin. `origins` holds origins as browsers send them.
 */
export function originAllowed(request: OriginRequest, origins: readonly string[]): boolean {
  const { origin, host } = request
  if (origin === undefined) return true
  if (origins.includes(origin.toLowerCase())) return true
  const url = parseUrl(origin)
  // The scheme is the proxy's business: it may end TLS in front of us.
  return url !== null && host !== undefined && sameHost(url, host)
}

/**
 * Whether `Host` names this machine, by address, as `localhost` or by a name of `others` [W9]. A page
 * that had its own name point here (DNS rebinding) sends that name.
 */
export function hostAllowed(host: string | undefined, others: readonly string[] = []): boolean {
  const url = host === undefined ? null : parseUrl(`http://${host}`)
  if (url === null) return false
  const name = url.hostname.replace(/^\[|\]$/gu, '')
  return (
    name === 'localhost' || isLoopback(name) || others.some((other) => other.toLowerCase() === name)
  )
}

function sameHost(origin: URL, host: string): boolean {
  const own = parseUrl(`${origin.protocol}//${host}`)
  return own !== null && own.host === origin.host
}

function parseUrl(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null
}
