import { framesOf, packedFrame } from './frames.js'
import type { Parcel } from './parcel.js'

/**
 * Parcels that many connections get in the same order within one turn of the event loop: their frames
 * are made once, when the first connection needs them. Connections that take part in the same channels
 * get the same bundles joined in the same order, so what is joined is made once, too.
 */
export class Bundle {
  readonly bytes: number
  readonly #pieces: readonly Bundle[]
  #parcels: readonly Parcel[] | null
  #frames: Buffer | null = null
  #packed: Buffer | null = null
  #joined: Map<Bundle, Bundle> | null = null
  #tails: Map<number, Bundle> | null = null
  #parts: readonly Bundle[] | null = null

  private constructor(parcels: readonly Parcel[] | null, pieces: readonly Bundle[], bytes: number) {
    this.#parcels = parcels
    this.#pieces = pieces
    this.bytes = bytes
  }

  static of(parcels: readonly Parcel[]): Bundle {
    return new Bundle(parcels, [], bytesOf(parcels))
  }

  /** Whether its parcels may be replaced by newer ones while a reader is slow [L8][P11]. */
  get conflates(): boolean {
    return this.parcels[0]?.conflate === true
  }

  get parcels(): readonly Parcel[] {
    this.#parcels ??= this.#pieces.flatMap(({ parcels }) => parcels)
    return this.#parcels
  }

  /** All parcels as WebSocket frames. Never to be written into: sockets hold on to it. */
  get frames(): Buffer {
    this.#frames ??=
      this.#pieces.length > 0
        ? Buffer.concat(this.#pieces.map(({ frames }) => frames))
        : framesOf(this.parcels)
    return this.#frames
  }

  /** The same with parcels of at least `threshold` bytes compressed, each once. Always the same `threshold`. */
  packedFrames(threshold: number): Buffer {
    if (this.bytes < threshold) return this.frames
    this.#packed ??=
      this.#pieces.length > 0
        ? Buffer.concat(this.#pieces.map((piece) => piece.packedFrames(threshold)))
        : Buffer.concat(this.parcels.map((parcel) => packedOnce(parcel, threshold)))
    return this.#packed
  }

  /** This one and then `next`; the same object for the same `next`. */
  with(next: Bundle): Bundle {
    this.#joined ??= new Map()
    const known = this.#joined.get(next)
    if (known !== undefined) return known
    const own = this.#pieces.length > 0 ? this.#pieces : [this]
    const joined = new Bundle(null, [...own, next], this.bytes + next.bytes)
    this.#joined.set(next, joined)
    return joined
  }

  /** What comes from the parcel at `index` on. */
  from(index: number): Bundle {
    if (index === 0) return this
    this.#tails ??= new Map()
    const known = this.#tails.get(index)
    if (known !== undefined) return known
    const tail = Bundle.of(this.parcels.slice(index))
    this.#tails.set(index, tail)
    return tail
  }

  /** The same in parts of at most `maxBytes`; a parcel that has more is alone. Always the same `maxBytes`. */
  parts(maxBytes: number): readonly Bundle[] {
    if (this.bytes <= maxBytes) return [this]
    this.#parts ??= partsOf(this.parcels, maxBytes)
    return this.#parts
  }
}

function packedOnce(parcel: Parcel, threshold: number): Buffer {
  if (parcel.bytes < threshold) return framesOf([parcel])
  if (parcel.packed === undefined) parcel.packed = packedFrame(parcel)
  return parcel.packed ?? framesOf([parcel])
}

function partsOf(parcels: readonly Parcel[], maxBytes: number): Bundle[] {
  const parts: Bundle[] = []
  let part: Parcel[] = []
  let bytes = 0
  for (const parcel of parcels) {
    if (part.length > 0 && bytes + parcel.bytes > maxBytes) {
      parts.push(Bundle.of(part))
      part = []
      bytes = 0
    }
    part.push(parcel)
    bytes += parcel.bytes
  }
  parts.push(Bundle.of(part))
  return parts
}

function bytesOf(parcels: readonly Parcel[]): number {
  let bytes = 0
  for (const parcel of parcels) bytes += parcel.bytes
  return bytes
}
