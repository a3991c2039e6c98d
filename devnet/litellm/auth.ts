import type { IncomingMessage } from 'node:http'
import { detailText, keyNotFound, proxyError, Refusal, roleDenied } from './answers.js'
import type { VersionTraits } from './versions.js'

/** `model_key` is a customer's key that may call models only (`key_type: llm_api`). */
export type Role = 'proxy_admin' | 'proxy_admin_viewer' | 'internal_user' | 'model_key'

export interface Caller {
  readonly role: Role
  readonly userId: string
}

/** The keys of the local network. They open nothing outside of it. */
export const KEYS = {
  master: 'sk-devnet-master',
  viewer: 'sk-devnet-viewer',
  internalUser: 'sk-devnet-internal-user',
  model: 'sk-devnet-model-calls-only',
} as const

const CALLERS: Readonly<Record<string, Caller>> = {
  [KEYS.master]: { role: 'proxy_admin', userId: 'default_user_id' },
  [KEYS.viewer]: { role: 'proxy_admin_viewer', userId: 'auditor' },
  [KEYS.internalUser]: { role: 'internal_user', userId: 'watcher' },
  [KEYS.model]: { role: 'model_key', userId: 'customer' },
}

/** Who asks, or a refusal in the words of the proxy. */
export function authenticate(
  request: Pick<IncomingMessage, 'headers'>,
  route: string,
  traits: VersionTraits,
): Caller {
  const key = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
  if (key === undefined) throw new Refusal(authError('No api key passed in.'))
  if (!key.startsWith('sk-')) {
    throw new Refusal(authError("LiteLLM Virtual Key expected. Expected to start with 'sk-'."))
  }
  const caller = CALLERS[key]
  if (caller === undefined) throw new Refusal(keyNotFound(key))
  if (caller.role === 'model_key') throw new Refusal(modelKeyDenied(route, traits))
  return caller
}

/** Whose rows the caller may see: a user id, or undefined for everybody's. */
export function visibleUser(
  caller: Caller,
  route: string,
  traits: VersionTraits,
): string | undefined {
  if (caller.role === 'proxy_admin') return undefined
  if (caller.role === 'proxy_admin_viewer') {
    if (traits.isViewerAllowed || !route.startsWith('/spend')) return undefined
    const denied = `user not allowed to access this route, role= ${caller.role}. Trying to access: `
    throw new Refusal(proxyError(403, 'auth_error', `Authentication Error, ${denied}${route}`))
  }
  // Recorded from 1.96 on: no error, only the rows of one's own, which are none.
  if (!traits.isWrongRoleSilent) throw new Refusal(roleDenied(route, caller.role))
  return caller.userId
}

function authError(message: string) {
  return proxyError(401, 'auth_error', `Authentication Error, ${message}`)
}

function modelKeyDenied(route: string, traits: VersionTraits) {
  const message =
    'Virtual key is not allowed to call this route. Only allowed to call routes: ' +
    `['llm_api_routes']. Tried to call route: ${route}`
  return traits.modelKeyStatus === 403 ? detailText(403, message) : authError(message)
}
