import { createHmac } from 'node:crypto'
import { TOKEN_SECRET } from '../servers/bench-server.js'

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const HEADER = part({ alg: 'HS256', typ: 'JWT' })
/** 2100: no run lasts that long. */
const EXPIRES_AT_SECONDS = 4_102_444_800

/** A JSON Web Token of a user of its own. */
export function tokenOf(userId: string): string {
  const signed = `${HEADER}.${part({ sub: userId, exp: EXPIRES_AT_SECONDS })}`
  return `${signed}.${createHmac('sha256', TOKEN_SECRET).update(signed).digest('base64url')}`
}
