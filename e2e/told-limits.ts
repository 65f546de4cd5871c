import { socketIoLink, type CreateLink } from '@bmt-central/realtime'
import type { ConnectedEvent, ConnectedLimits } from '@bmt-central/realtime-protocol'

/** The real link, to a client that is told other limits than the server has. */
export function toldLimits(url: string, limits: Partial<ConnectedLimits>): CreateLink {
  const open = socketIoLink({ url, path: '/socket.io', transports: ['websocket'] })
  return (handshake, listener) =>
    open(handshake, {
      ...listener,
      event: (name, data) => {
        listener.event(
          name,
          name === 'connected' ? withLimits(data as ConnectedEvent, limits) : data,
        )
      },
    })
}

function withLimits(told: ConnectedEvent, limits: Partial<ConnectedLimits>): ConnectedEvent {
  return { ...told, limits: { ...told.limits, ...limits } }
}
