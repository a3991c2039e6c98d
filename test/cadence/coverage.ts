import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CONTRACTS } from '../../devnet/flow/deploy.js'
import type { Emulator } from '../../devnet/flow/emulator.js'

/** Where each emulator leaves what it counted; set by scripts/cadence-coverage.mjs alone. */
export const COVERAGE_FOLDER = process.env.CADENCE_COVERAGE_FOLDER

const OURS: readonly string[] = [...CONTRACTS, 'BandPrices']

interface Report {
  readonly coverage: Readonly<
    Record<string, { readonly line_hits: Readonly<Record<string, number>> }>
  >
}

/** Writes down how often each statement of our contracts was run: `{ contract: { line: hits } }`. */
export async function keepCoverage({ adminUrl, pid }: Emulator, folder: string): Promise<void> {
  const answer = await fetch(`${adminUrl}/emulator/codeCoverage`)
  const { coverage } = (await answer.json()) as Report
  const hits = Object.entries(coverage)
    .map(([location, { line_hits }]) => [location.split('.')[2] ?? '', line_hits] as const)
    .filter(([name]) => OURS.includes(name))
  writeFileSync(join(folder, `${pid}.json`), JSON.stringify(Object.fromEntries(hits)))
}
