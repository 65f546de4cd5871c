import type { Log, Logger } from '@bmt-central/realtime-protocol'
import { pino } from 'pino'
import type { LogLevel } from './settings.js'

/** Where lines go: standard output, or a test's list. */
export interface LineSink {
  write(line: string): void
}

/** JSON lines, the first of which says where the server listens. */
export interface Output {
  readonly logger: Logger
  /** Writes the `listening` line, then what was logged before it. */
  announce(url: string): void
  /** Writes what was held back to another place: the start has failed, nothing is announced. */
  release(to: LineSink): void
}

/** Lines held back before `announce`. The start logs a few warnings; more than this is not the start. */
const MAX_HELD_LINES = 1_000

/**
 * The service warns while it is made, before there is an address; scripts wait for the first line to
 * learn it. So lines are held back until then.
 */
export function jsonOutput(sink: LineSink, level: LogLevel): Output {
  let held: string[] | null = []
  const destination: LineSink = {
    write(line) {
      if (held === null) sink.write(line)
      else if (held.length < MAX_HELD_LINES) held.push(line)
    },
  }
  const lines = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError, cause: describeError },
    },
    destination,
  )
  const logOf =
    (name: LogLevel): Log =>
    (event, fields) =>
      lines[name]({ event, ...fields })
  // Not subject to the level: whoever asks for errors only still waits for this line.
  const always = lines.child({}, { level: 'info' })
  const release = (to: LineSink): void => {
    const waiting = held ?? []
    held = null
    for (const line of waiting) to.write(line)
  }

  return {
    logger: {
      debug: logOf('debug'),
      info: logOf('info'),
      warn: logOf('warn'),
      error: logOf('error'),
    },
    announce(url) {
      const waiting = held ?? []
      held = null
      always.info({ event: 'listening', url })
      for (const line of waiting) sink.write(line)
    },
    release,
  }
}

/** What a log says of an error: its names and its place, never properties that it happens to carry. */
function describeError(value: unknown): unknown {
  if (!(value instanceof Error)) return value
  const { code } = value as { code?: unknown }
  return {
    name: value.name,
    message: value.message,
    ...(typeof code === 'string' && { code }),
    ...(value.stack !== undefined && { stack: value.stack }),
    ...(value.cause instanceof Error && { cause: describeError(value.cause) }),
  }
}
