import { installLine, type Line } from './line.js'

/** Must be imported ahead of the client: its transport takes the WebSocket class when it is loaded. */
export const pageLine: Line = installLine(globalThis)
