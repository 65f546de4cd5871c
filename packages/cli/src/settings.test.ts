import { describe, expect, test } from 'vitest'
import { Failure } from './failure.js'
import { resolveSettings, variableOf, type Environment, type ServeFlags } from './settings.js'

function failureOf(flags: ServeFlags, environment: Environment = {}): Failure {
  try {
    resolveSettings(flags, environment)
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('it was accepted')
}

describe('settings of serve', () => {
  test('defaults are port 3000 on the loopback, same origin only', () => {
    expect(resolveSettings({ dev: true }, {})).toEqual({
      port: 3000,
      host: '127.0.0.1',
      authentication: { kind: 'dev' },
      config: null,
      corsOrigins: [],
      data: null,
      lockWaitMs: 0,
      drainMs: null,
      logLevel: 'info',
    })
  })

  test('each flag is also an environment variable', () => {
    const settings = resolveSettings(
      {},
      {
        BMT_REALTIME_PORT: '0',
        BMT_REALTIME_HOST: '0.0.0.0',
        BMT_REALTIME_JWT_SECRET: 'a secret',
        BMT_REALTIME_JWT_ISSUER: 'issuer',
        BMT_REALTIME_JWT_AUDIENCE: 'audience',
        BMT_REALTIME_CONFIG: 'realtime.json',
        BMT_REALTIME_CORS_ORIGIN: 'https://a.example, capacitor://localhost',
        BMT_REALTIME_DATA: 'data',
        BMT_REALTIME_LOCK_WAIT_MS: '30000',
        BMT_REALTIME_DRAIN_MS: '250',
        BMT_REALTIME_LOG_LEVEL: 'debug',
      },
    )
    expect(settings).toEqual({
      port: 0,
      host: '0.0.0.0',
      authentication: {
        kind: 'jwt',
        secret: 'a secret',
        issuer: 'issuer',
        audience: 'audience',
      },
      config: 'realtime.json',
      corsOrigins: ['https://a.example', 'capacitor://localhost'],
      data: 'data',
      lockWaitMs: 30_000,
      drainMs: 250,
      logLevel: 'debug',
    })
  })

  test('a flag wins over its variable, also over one that cannot be read', () => {
    const environment = { BMT_REALTIME_PORT: 'tcp://10.0.0.1:3000', BMT_REALTIME_DEV: 'true' }
    expect(resolveSettings({ port: '4000' }, environment).port).toBe(4000)
  })

  test('a variable that says false switches nothing on, an empty one counts as absent', () => {
    expect(failureOf({}, { BMT_REALTIME_DEV: 'false' }).message).toContain('without authentication')
    expect(failureOf({}, { BMT_REALTIME_JWT_SECRET: '' }).exitCode).toBe(1)
  })

  test.each<[string, ServeFlags, Environment, number, string]>([
    ['no authentication', {}, {}, 1, 'without authentication'],
    ['development in production', { dev: true }, { NODE_ENV: 'production' }, 1, 'NODE_ENV'],
    ['--redis', { dev: true, redis: 'redis://x' }, {}, 1, '--redis is not there yet'],
    ['a wait for no directory', { dev: true, lockWaitMs: '5' }, {}, 2, 'needs --data'],
    ['no number to wait', { dev: true, data: 'd', lockWaitMs: 'x' }, {}, 2, '--lock-wait-ms must'],
    ['an empty directory', { dev: true, data: '' }, {}, 2, '--data must not be empty'],
    ['both kinds of tokens', { dev: true, jwtSecret: 's' }, {}, 2, 'exclude each other'],
    ['an issuer alone', { dev: true, jwtIssuer: 'i' }, {}, 2, '--jwt-issuer needs --jwt-secret'],
    ['an empty secret', { jwtSecret: '' }, {}, 2, '--jwt-secret must not be empty'],
    ['a port with letters', { dev: true, port: '30a' }, {}, 2, '--port must be a port'],
    ['a port too high', { dev: true, port: '65536' }, {}, 2, 'from 0 to 65535'],
    ['a negative drain', { dev: true, drainMs: '-1' }, {}, 2, '--drain-ms must be'],
    ['an origin with a path', { dev: true, corsOrigin: ['https://a.example/x'] }, {}, 2, 'origin'],
    ['all origins', { dev: true, corsOrigin: ['*'] }, {}, 2, 'origin'],
    ['an unknown log level', { dev: true, logLevel: 'loud' }, {}, 2, '--log-level must be'],
    ['a switch that is no word', {}, { BMT_REALTIME_DEV: 'yes' }, 2, 'must be true or false'],
    ['an address as port', {}, { BMT_REALTIME_PORT: 'tcp://10.0.0.1:1' }, 2, 'Kubernetes'],
  ])('refuses %s', (_what, flags, environment, exitCode, part) => {
    const failure = failureOf(flags, environment)
    expect(failure.message).toContain(part)
    expect(failure.exitCode).toBe(exitCode)
  })

  test('no message repeats a secret', () => {
    const failure = failureOf({ dev: true, jwtSecret: 'hunter2-hunter2' })
    expect(failure.message).not.toContain('hunter2')
  })

  test('variables are named after flags', () => {
    expect(variableOf('--jwt-secret')).toBe('BMT_REALTIME_JWT_SECRET')
  })
})
