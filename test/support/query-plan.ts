import Database from 'better-sqlite3'
import { vi } from 'vitest'
import type { Stores } from '../../src/ports/stores.js'

interface Step {
  readonly detail: string
}

/** What SQLite says of how it answers the questions that one call asks, a step a line. */
export async function planOf(
  store: Stores,
  ask: (stores: Stores) => Promise<unknown>,
): Promise<string[]> {
  const prepare = vi.spyOn(Database.prototype, 'prepare')
  await ask(store)
  const asked = prepare.mock.calls.map(([source]) => source)
  const [database] = prepare.mock.contexts as unknown as Database.Database[]
  prepare.mockRestore()
  return asked.flatMap((source) => {
    const values = Array.from(source.matchAll(/\?/g), () => null)
    const plan = database?.prepare<null[], Step>(`explain query plan ${source}`).all(...values)
    return plan?.map(({ detail }) => detail) ?? []
  })
}
