import { Tally } from './tally.js'

/** What can go wrong by itself, each with a share of all occasions, 0 to 1. */
export interface Faults {
  /** Of a packet: the link ends, and what is on its way is lost. */
  readonly drop: number
  /** Of a request: the link ends before it is carried out, while it is, or before its answer arrives. */
  readonly cutBefore: number
  readonly cutDuring: number
  readonly cutAfter: number
  /** Of a packet: from here on nothing gets through, and nobody says so. */
  readonly blackHole: number
  /** Of an ended link: the server hears of it only much later, when another one is in use. */
  readonly lateClose: number
  /** Of a link that its client dropped: it goes on reporting to the client, and at last its end. */
  readonly oldLink: number
  /** Of a link: it is slow. */
  readonly delay: number
  /** Of an acknowledged publish: it is sent again. */
  readonly duplicate: number
  /** Of an attempt to connect: nobody answers. */
  readonly unreachable: number
  /** Of a call of the broker: it takes its time, or refuses. */
  readonly slowBroker: number
  readonly brokerError: number
  /** Of a durable broker's transaction: the disk does not take it, and nothing for a while. */
  readonly commitError: number
  /** Of a message: its listener throws, or changes everything in the middle of a delivery. */
  readonly listener: number
  /** Of a token: it is valid for some seconds only. */
  readonly tokenExpiry: number
}

export const NO_FAULTS: Faults = {
  drop: 0,
  cutBefore: 0,
  cutDuring: 0,
  cutAfter: 0,
  blackHole: 0,
  lateClose: 0,
  oldLink: 0,
  delay: 0,
  duplicate: 0,
  unreachable: 0,
  slowBroker: 0,
  brokerError: 0,
  commitError: 0,
  listener: 0,
  tokenExpiry: 0,
}

/** All of them, often enough that most runs meet most of them. */
export const ALL_FAULTS: Faults = {
  drop: 0.003,
  cutBefore: 0.015,
  cutDuring: 0.015,
  cutAfter: 0.025,
  blackHole: 0.002,
  lateClose: 0.4,
  oldLink: 0.4,
  delay: 0.2,
  duplicate: 0.05,
  unreachable: 0.05,
  slowBroker: 0.1,
  brokerError: 0.015,
  commitError: 0.015,
  listener: 0.015,
  tokenExpiry: 0.1,
}

/** Decides by chance what happens, and counts it; the faults may be changed while it runs. */
export class Chance {
  faults: Faults
  readonly random: () => number
  readonly tally: Tally = new Tally()

  constructor(random: () => number, faults: Faults) {
    this.random = random
    this.faults = faults
  }

  hits(fault: keyof Faults): boolean {
    // Always one number, so that switching one fault off changes nothing else.
    return this.random() < this.faults[fault]
  }

  /** Where a hit is certain to have an effect: it is counted. */
  strikes(fault: keyof Faults): boolean {
    const hit = this.hits(fault)
    if (hit) this.tally.add(fault)
    return hit
  }

  /** A whole number from 0 on, below `end`. */
  below(end: number): number {
    return Math.floor(this.random() * end)
  }
}
