import { z } from 'zod'
import { RetryableError } from '../../domain/errors.js'

/** LiteLLM's four shapes of an error, and what can be read of them. */
const errorBody = z.union([
  z.object({ error: z.object({ message: z.string(), type: z.string().nullish() }) }),
  z.object({ detail: z.string() }),
  z.object({ detail: z.object({ error: z.string() }) }),
  z.object({ detail: z.array(z.object({ loc: z.array(z.union([z.string(), z.number()])) })) }),
])

interface Read {
  readonly type: string
  readonly message: string
}

/**
 * Tells apart what the same status may mean: measured, a missing database, a deleted key and a
 * missing role all answer 401. LiteLLM's message is matched and never shown: it quotes keys.
 */
export function refusalOf(status: number, text: string): RetryableError {
  const { type, message } = read(text)
  const answer = `LiteLLM answered ${status}${/^\w{1,40}$/.test(type) ? ` (${type})` : ''}`
  const error = (code: string, says: string) =>
    new RetryableError(`source_${code}`, `${answer}: ${says}`)

  if (message.includes('Prisma Client is not initialized') || type === 'no_db_connection') {
    return error('no_database', 'it has no database, where its spend logs are kept')
  }
  if (status === 401 || status === 403) {
    return isRoleDenial(status, message)
      ? error('role', 'the key may not read the spend logs of all users')
      : error(
          'refused',
          type === 'token_not_found_in_db' ? 'it does not know the key' : 'it refuses the key',
        )
  }
  if (status === 429) return error('unreachable', 'too many requests')
  if (status >= 500) return error('unreachable', 'it fails')
  return error('nonsense', 'this is not what LiteLLM answers to this question')
}

/** Whether an answer refuses this parameter of ours: 422, naming it. */
export function refusesParameter(status: number, text: string, name: string): boolean {
  if (status !== 422) return false
  const body = parse(text)
  return body !== undefined && 'detail' in body && Array.isArray(body.detail)
    ? body.detail.some(({ loc }) => loc.includes(name))
    : false
}

function isRoleDenial(status: number, message: string): boolean {
  const words = ['Only proxy admin', 'Your role=', 'not allowed to access', 'not allowed to call']
  return words.some((word) => message.includes(word)) || (status === 403 && message !== '')
}

function read(text: string): Read {
  const body = parse(text)
  if (body === undefined) return { type: '', message: '' }
  if ('error' in body) return { type: body.error.type ?? '', message: body.error.message }
  if (typeof body.detail === 'string') return { type: '', message: body.detail }
  return { type: '', message: 'error' in body.detail ? body.detail.error : '' }
}

function parse(text: string): z.infer<typeof errorBody> | undefined {
  return errorBody.safeParse(jsonOf(text)).data
}

/** Undefined for what is no JSON: the page of a gateway, say. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
