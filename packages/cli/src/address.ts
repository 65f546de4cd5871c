import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { failed } from './failure.js'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Whether an IP address is of this machine alone. */
export function isLoopbackAddress(address: string): boolean {
  const family = isIP(address)
  return family !== 0 && loopback.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

/**
 * The address behind `--host` for development tokens, which anybody can write. The address that was
 * checked is the one to listen on: a name could resolve to another one a moment later.
 * @throws Failure with exit code 1 where any of its addresses is not loopback
 */
export async function loopbackAddressOf(host: string): Promise<string> {
  const addresses = isIP(host) === 0 ? await resolve(host) : [host]
  const [first] = addresses
  if (first !== undefined && addresses.every(isLoopbackAddress)) return first
  throw failed(
    `refusing to start: --dev accepts tokens that anybody can write, and --host ${host} can be ` +
      'reached from other machines. Leave --host out, or use --jwt-secret.',
  )
}

async function resolve(name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true })).map(({ address }) => address)
  } catch (error) {
    throw failed(`--host ${name} cannot be resolved`, error)
  }
}

/** Which `Host` headers a development server answers: another one is a page that rebinds its name. */
export function hostCheck(ownHost: string): (host: string | undefined) => boolean {
  const names = new Set(['localhost', '127.0.0.1', '[::1]', bracketed(ownHost).toLowerCase()])
  return (host) => {
    if (host === undefined || !URL.canParse(`http://${host}`)) return false
    return names.has(new URL(`http://${host}`).hostname)
  }
}

/** The address as people and programs open it. */
export function urlOf(host: string, port: number): string {
  return `http://${bracketed(host)}:${port}`
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host
}
