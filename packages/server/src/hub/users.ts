import type { Connection } from './connection.js'

/** The connections of each user. Most users have one: then it stands for itself, without a set. */
export class Users {
  readonly #users = new Map<string, Connection | Set<Connection>>()

  /** Users that are connected. */
  get size(): number {
    return this.#users.size
  }

  connectionsOf(userId: string): readonly Connection[] {
    const own = this.#users.get(userId)
    if (own === undefined) return []
    return own instanceof Set ? Array.from(own) : [own]
  }

  /** How many connections a user has. */
  count(userId: string): number {
    const own = this.#users.get(userId)
    if (own === undefined) return 0
    return own instanceof Set ? own.size : 1
  }

  add(connection: Connection): void {
    const { userId } = connection.user
    const own = this.#users.get(userId)
    if (own === undefined) this.#users.set(userId, connection)
    else if (own instanceof Set) own.add(connection)
    else this.#users.set(userId, new Set([own, connection]))
  }

  remove(connection: Connection): void {
    const { userId } = connection.user
    const own = this.#users.get(userId)
    if (own === connection) this.#users.delete(userId)
    if (!(own instanceof Set)) return
    own.delete(connection)
    if (own.size === 0) this.#users.delete(userId)
  }
}
