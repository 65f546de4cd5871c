import { createServer } from 'node:net'

const LOOPBACKS = ['127.0.0.1', '::1']

/**
 * Whether nobody listens on a port of this machine. Both loopbacks are tried: a browser that opens
 * `localhost` may come by either, and would find another program on the second.
 */
export async function isPortFree(port: number): Promise<boolean> {
  for (const host of LOOPBACKS) {
    if (!(await canListen(port, host))) return false
  }
  return true
}

/** The first free one of `wanted` and the ports after it; 0, any free one, where all are taken. */
export async function freePort(wanted: number, tries: number = 20): Promise<number> {
  for (let port = wanted; port < wanted + tries && port <= 65_535; port += 1) {
    if (await isPortFree(port)) return port
  }
  return await anyPort()
}

function canListen(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      // A machine without IPv6 has nobody there, either.
      resolve(error.code !== 'EADDRINUSE' && error.code !== 'EACCES')
    })
    probe.listen(port, host, () => probe.close(() => resolve(true)))
  })
}

function anyPort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
