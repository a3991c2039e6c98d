import type { SeenOfFlow } from '../../src/pipeline/checks.js'
import type { Conservation } from '../../src/ports/settler.js'
import type { Store } from '../../src/ports/stores.js'

/** What the daemon last read from Flow, beside sums of the test's own. */
export async function seenOf({ books }: Store, conservation: Conservation): Promise<SeenOfFlow> {
  return { applied: books.applied, balances: books.balances, conservation }
}
