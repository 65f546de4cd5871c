/** One packet on its way to a connection. Events are shared by all its receivers. */
export interface Parcel {
  /** A Socket.IO packet as text. */
  readonly text: string
  /** Its UTF-8 length. */
  readonly bytes: number
  /** Set for events. */
  readonly topic?: string
  /** Whether a newer parcel of the topic may take its place while the reader is slow [L8][P11]. */
  readonly conflate?: boolean
  /** The text where `skipped` publications before it were left out; ephemeral ones do not say so. */
  readonly withSkipped?: (skipped: number) => string
  /** Its compressed frame, once it was asked for; null: compressing it is not worth while. */
  packed?: Buffer | null
  /** Whether it carries a page of publications [L16]. */
  readonly page?: boolean
}
