import { z } from 'zod'
import { RetryableError, TerminalError } from '../../domain/errors.js'
import { jsonOf } from './parse.js'

/** LiteLLM's four shapes of an error, and what can be read of them. */
const errorBody = z.union([
  z.object({
    error: z.object({
      message: z.string(),
      type: z.string().nullish(),
      param: z.string().nullish(),
    }),
  }),
  z.object({ detail: z.string() }),
  z.object({ detail: z.object({ error: z.string() }) }),
  z.object({ detail: z.array(z.object({ loc: z.array(z.union([z.string(), z.number()])) })) }),
])

interface Read {
  readonly type: string
  readonly message: string
  /** The field that it is about, if it says so. */
  readonly field: string
}

const ROLE_WORDS = [
  'Only proxy admin',
  'Your role=',
  'not allowed to access',
  'not allowed to call',
]

/**
 * What an answer that is no success means. Measured: a missing database, a deleted key and a missing
 * role all answer 401, and an alias that is taken 400. LiteLLM's words are matched and never shown:
 * they quote keys.
 */
export function refusalOf(status: number, text: string): RetryableError | TerminalError {
  const { type, message, field } = read(text)
  const says = `LiteLLM answered ${status}${/^\w{1,40}$/.test(type) ? ` (${type})` : ''}`
  const retryable = (code: string, what: string) =>
    new RetryableError(`keys_${code}`, `${says}: ${what}`)

  if (message.includes('Prisma Client is not initialized') || type === 'no_db_connection') {
    return retryable('no_database', 'it has no database, where its keys are kept')
  }
  if (message.includes('alias') && message.includes('already exists')) {
    return new TerminalError('key_alias_taken', 'LiteLLM has another key of this alias')
  }
  if (/custom (api )?key/i.test(message)) {
    const fix = 'turn its setting disable_custom_api_keys off'
    return new TerminalError('key_refused', `LiteLLM takes no keys made by others: ${fix}`)
  }
  if (status === 401 || status === 403) {
    const isRole =
      status === 403
        ? type !== 'token_not_found_in_db'
        : ROLE_WORDS.some((words) => message.includes(words))
    if (isRole) return retryable('role', 'the admin key may not manage keys')
    const isUnknown = type === 'token_not_found_in_db'
    return retryable('refused', isUnknown ? 'it does not know the admin key' : 'it refuses the key')
  }
  if (status === 404) return new TerminalError('key_unknown', `${says}: it has no such key`)
  if (status === 429) return retryable('unreachable', 'too many requests')
  if (status >= 500) return retryable('failing', 'it fails')
  if (status === 400 || status === 422) {
    const which = /^\w{1,40}$/.test(field) && field !== 'None' ? ` (${field})` : ''
    return new TerminalError('key_refused', `${says}: it does not take such a key${which}`)
  }
  return retryable('nonsense', 'this is not what LiteLLM answers')
}

function read(text: string): Read {
  const parsed = errorBody.safeParse(jsonOf(text))
  if (!parsed.success) return { type: '', message: '', field: '' }
  const body = parsed.data
  if ('error' in body) {
    const { type, message, param } = body.error
    return { type: type ?? '', message, field: param ?? '' }
  }
  const { detail } = body
  if (typeof detail === 'string') return { type: '', message: detail, field: '' }
  if ('error' in detail) return { type: '', message: detail.error, field: '' }
  return { type: '', message: '', field: String(detail[0]?.loc.at(-1) ?? '') }
}
