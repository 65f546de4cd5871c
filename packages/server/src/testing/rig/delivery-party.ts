import { connect, type Socket as TcpSocket } from 'node:net'
import { io, type Socket } from 'socket.io-client'
import { DeliveryJudge, type TopicKind } from './delivery-judge.js'
import { FrameReader, maskedFrame, textOf, type Frame } from './frame-reader.js'
import type { Fields } from './plain-client.js'
import { turns } from './test-server.js'

/** A request and what its answer means to the judge. */
export interface Ask {
  readonly event: string
  readonly data: object
  readonly answered: (answer: Fields) => void
}

/** Who connects. */
export interface PartyFacts {
  readonly number: number
  readonly url: string
  readonly name: string
  readonly instance: string
  readonly kindOf: (topic: string) => TopicKind
  readonly random: () => number
  /** Added to the query: `&pace=slow`. */
  readonly query: string
}

/** How a client goes. */
export type Leaving = 'close frame' | 'disconnect packet' | 'end' | 'destroy'

/** A client that sends what it is told to, and has everything judged that it hears. */
export abstract class Party {
  readonly name: string
  readonly publisher: string
  readonly instance: string
  readonly judge: DeliveryJudge
  readonly published = new Map<string, number>()
  /** It has gone, or is going: nothing need arrive any more. */
  leaving = false
  connected = false
  ended = false
  /** What the server said when it ended it. */
  endedWith: string | null = null
  #news = 0
  readonly unanswered = new Map<number, Ask>()

  constructor({ number, name, instance, kindOf }: PartyFacts) {
    this.name = name
    // One that takes another's place counts anew.
    this.publisher = `${name}/${number}`
    this.instance = instance
    this.judge = new DeliveryJudge(kindOf)
  }

  abstract ask(asks: readonly Ask[]): void
  abstract leave(how: Leaving): void

  protected heard(name: string, data: Fields): void {
    if (name === 'message') this.judge.message(data)
    else if (name === 'news') this.#heardNews(Number(data))
    else if (name === 'closing') {
      this.endedWith = String(data['code'])
      this.judge.closing()
    } else this.judge.other(name)
    if (name === 'connected') this.connected = true
  }

  protected answered(id: number, answer: Fields): void {
    const asked = this.unanswered.get(id)
    this.unanswered.delete(id)
    if (asked === undefined) return this.judge.fault(`an answer to ${id}, which was not asked`)
    if (answer['status'] === 'success') asked.answered(answer)
    else this.judge.fault(`${asked.event}: ${JSON.stringify(answer)}`)
  }

  #heardNews(n: number): void {
    this.judge.other(`news ${n}`)
    if (n <= this.#news) this.judge.fault(`news ${n} after ${this.#news}`)
    this.#news = n
  }
}

/** An ordinary Socket.IO client. */
export class PlainParty extends Party {
  readonly #socket: Socket
  #nextId = 0

  constructor(facts: PartyFacts, transports: string[]) {
    super(facts)
    const { url, name, instance, query } = facts
    this.#socket = io(url, {
      forceNew: true,
      reconnection: false,
      transports,
      query: Object.fromEntries(new URLSearchParams(query)),
      auth: { token: tokenOf(name), client: { instance } },
    })
    this.#socket.onAny((event: string, data: Fields) => this.heard(event, data))
    this.#socket.on('disconnect', () => (this.ended = true))
    this.#socket.on('connect_error', ({ message }) => this.judge.fault(`refused: ${message}`))
  }

  ask(asks: readonly Ask[]): void {
    for (const ask of asks) {
      const id = (this.#nextId += 1)
      this.unanswered.set(id, ask)
      this.#socket.emit(ask.event, ask.data, (answer: Fields) => this.answered(id, answer))
    }
  }

  leave(how: Leaving): void {
    this.leaving = true
    if (how === 'disconnect packet') this.#socket.disconnect()
    else this.#socket.io.engine.close()
  }
}

/** A client of our own on a TCP socket: what it sends may be cut at any byte. */
export class RawParty extends Party {
  readonly #tcp: TcpSocket
  readonly #reader = new FrameReader()
  readonly #random: () => number
  #upgraded = false
  #sending: Promise<void> = Promise.resolve()
  #nextId: number

  constructor(facts: PartyFacts, { packed }: { packed: boolean }) {
    super(facts)
    const { url, query, random } = facts
    this.#random = random
    this.#nextId = random() < 0.1 ? 999_999_999_990_000 : Math.floor(random() * 100)
    const { hostname, port } = new URL(url)
    this.#tcp = connect(Number(port), hostname)
    this.#tcp.setNoDelay(true)
    this.#tcp.write(
      `GET /socket.io/?EIO=4&transport=websocket${query} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n` +
        'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        (packed
          ? 'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n'
          : '') +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    let head = Buffer.alloc(0)
    this.#tcp.on('data', (chunk: Buffer) => {
      if (this.#upgraded) return this.#read(chunk)
      head = Buffer.concat([head, chunk])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return undefined
      this.#upgraded = true
      return this.#read(head.subarray(end + 4))
    })
    this.#tcp.on('error', () => undefined)
    this.#tcp.on('close', () => (this.ended = true))
  }

  ask(asks: readonly Ask[]): void {
    const frames = asks.map((ask) => {
      const id = (this.#nextId += 1)
      this.unanswered.set(id, ask)
      return this.#frame(`42${id}${JSON.stringify([ask.event, ask.data])}`)
    })
    this.#send(Buffer.concat(frames))
  }

  leave(how: Leaving): void {
    this.leaving = true
    if (how === 'close frame') this.#send(maskedFrame(8, Buffer.from([3, 232]), this.#mask()))
    else if (how === 'disconnect packet') this.#send(this.#frame('41'))
    else void this.#sending.then(() => (how === 'end' ? this.#tcp.end() : this.#tcp.destroy()))
  }

  #read(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.read(chunk)) this.#frameOf(frame)
    } catch (error) {
      this.judge.fault(String(error))
      this.#tcp.destroy()
    }
  }

  #frameOf(frame: Frame): void {
    if (frame.opcode === 8) {
      this.leaving = true
      if (this.#random() < 0.8) this.#send(maskedFrame(8, frame.payload, this.#mask()))
      return
    }
    const text = textOf(frame)
    if (text.startsWith('0')) {
      const auth = { token: tokenOf(this.name), client: { instance: this.instance } }
      this.#send(this.#frame(`40${JSON.stringify(auth)}`))
    } else if (text.startsWith('42')) {
      const [name, data] = JSON.parse(text.slice(2)) as [string, Fields]
      this.heard(name, data)
    } else if (text.startsWith('43')) {
      const at = text.indexOf('[')
      const [answer] = JSON.parse(text.slice(at)) as [Fields]
      this.answered(Number(text.slice(2, at)), answer)
    } else if (text.startsWith('41')) this.leaving = true
    else if (text === '2') this.#send(this.#frame('3'))
    else if (!text.startsWith('40')) this.judge.fault(`unknown: ${text.slice(0, 60)}`)
  }

  #frame(text: string): Buffer {
    return maskedFrame(1, Buffer.from(text), this.#mask())
  }

  #mask(): Buffer {
    return Buffer.from(Array.from({ length: 4 }, () => Math.floor(this.#random() * 256)))
  }

  /** In order, now and then in several pieces, each in a turn of its own. */
  #send(bytes: Buffer): void {
    const cuts =
      this.#random() < 0.6
        ? []
        : Array.from({ length: 3 }, () => Math.floor(this.#random() * bytes.length))
    const ends = [...cuts.toSorted((a, b) => a - b), bytes.length]
    this.#sending = this.#sending.then(async () => {
      let from = 0
      for (const end of ends) {
        if (end > from) this.#write(bytes.subarray(from, end))
        from = end
        if (cuts.length > 0) await turns(1)
      }
    })
  }

  #write(bytes: Buffer): void {
    if (this.#tcp.writable) this.#tcp.write(bytes)
  }
}

function tokenOf(name: string): string {
  return JSON.stringify({ userId: name, role: 'user' })
}
