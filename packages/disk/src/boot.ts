import { readFileSync } from 'node:fs'

/** Differs after every start of the machine; null where the system does not tell. */
export function bootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    // Not Linux: then no two starts count as the same boot, which can only announce too much.
    return null
  }
}
