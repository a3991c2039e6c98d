import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../src/ports/clock.js'
import type { Store } from '../../src/ports/stores.js'
import { openStore } from '../../src/store/index.js'

/** In memory where the system has such a place: the store waits for the disk at every commit. */
const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** A real SQLite file, which outlives the stores that are opened on it as it does a process. */
export class StoreFile {
  readonly path: string
  readonly #folder: string
  readonly #clock: Clock
  readonly #open = new Set<Store>()

  constructor(clock: Clock) {
    this.#folder = mkdtempSync(join(PLACE, 'flowmeter-store-'))
    this.path = join(this.#folder, 'flowmeter.sqlite')
    this.#clock = clock
  }

  /** Opens it once more, and brings it to the newest schema. */
  async open(): Promise<Store> {
    const store = openStore(this.path, this.#clock)
    this.#open.add(store)
    await store.migrate()
    return store
  }

  async close(store: Store): Promise<void> {
    this.#open.delete(store)
    await store.close()
  }

  async remove(): Promise<void> {
    for (const store of this.#open) await store.close()
    this.#open.clear()
    rmSync(this.#folder, { recursive: true })
  }
}
