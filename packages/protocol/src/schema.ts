import { RealtimeError } from './errors.js'

/**
 * Any Standard Schema v1 validator (zod, valibot, arktype …). The interface is the one that
 * standardschema.dev asks libraries to declare for themselves.
 */
export interface Schema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

const MAX_ISSUES = 20

export function isSchema(value: unknown): value is Schema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const standard: unknown = (value as Record<string, unknown>)['~standard']
  if (typeof standard !== 'object' || standard === null) return false
  const { version, validate } = standard as { version?: unknown; validate?: unknown }
  return version === 1 && typeof validate === 'function'
}

/**
 * The schema's output for a value: defaults and transforms are what is published [R9]. Answers at
 * once where the schema does.
 * @throws RealtimeError `validation_failed`, with up to 20 issues in `details.issues`
 */
export function applySchema(schema: Schema, value: unknown): unknown {
  const result = schema['~standard'].validate(value)
  return 'then' in result ? Promise.resolve(result).then(outputOf) : outputOf(result)
}

function outputOf(result: SchemaResult<unknown>): unknown {
  if (result.issues === undefined) return result.value
  const issues = result.issues.slice(0, MAX_ISSUES).map((issue) => ({
    message: issue.message,
    path: (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)),
  }))
  const first = issues[0]
  const where = first === undefined || first.path.length === 0 ? '' : ` at ${first.path.join('.')}`
  throw new RealtimeError(
    'validation_failed',
    `the payload does not fit the schema of the channel${where}: ${first?.message ?? 'refused'}`,
    { details: { issues } },
  )
}
