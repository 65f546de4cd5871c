import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Room for all who come at once: with less, the kernel drops connects and the client waits 1 s. */
const BACKLOG = 4_096

export const newHttpServer = (): Server => createServer()

/** Resolves with the port. */
export function listen(http: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    http.once('error', reject)
    http.listen({ port, host: '127.0.0.1', backlog: BACKLOG }, () => {
      resolve((http.address() as AddressInfo).port)
    })
  })
}

export function closeHttp(http: Server): Promise<void> {
  http.closeAllConnections()
  return new Promise((resolve) => http.close(() => resolve()))
}
