import { loadMappingConfig } from '../config.js'
import { createToken, revokeToken, type TokenWish } from '../pipeline/access-tokens.js'
import type { Ordered } from '../pipeline/record-correction.js'
import type { AccessToken } from '../ports/access-tokens.js'
import type { Store } from '../ports/stores.js'
import { systemClock as clock } from '../runtime/clock.js'
import { withOpenedStore } from './stored.js'

type Environment = Readonly<Record<string, string | undefined>>

export interface TokensTools {
  /** @param lifeMs from now on; undefined for ever */
  create(
    wish: Omit<TokenWish, 'expiresAtMs'> & { readonly lifeMs: number | undefined },
    ordered: Ordered,
  ): Promise<{ readonly id: string; readonly token: string }>
  list(): Promise<readonly AccessToken[]>
  revoke(id: string, ordered: Ordered): Promise<void>
  nowMs(): number
}

/** A token may be made before the first start. */
export function tokensTools(env: Environment, folder: string): TokensTools {
  const withStored = <Result>(work: (store: Store) => Promise<Result>): Promise<Result> =>
    withOpenedStore(loadMappingConfig(env, folder).databaseUrl, work)
  return {
    create: ({ lifeMs, ...wish }, ordered) =>
      withStored((store) => {
        const expiresAtMs = lifeMs === undefined ? undefined : clock.now() + lifeMs
        return createToken({ store, clock }, { ...wish, expiresAtMs }, ordered)
      }),
    list: () => withStored((store) => store.accessTokens.list()),
    revoke: (id, ordered) => withStored((store) => revokeToken(store, id, ordered)),
    nowMs: clock.now,
  }
}
