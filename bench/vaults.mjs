import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { mappingConfig } from '../dist/src/mapping/index.js'
import { attributeNext } from '../dist/src/pipeline/attribute.js'
import { attributionSettings } from '../dist/src/pipeline/attribution-settings.js'
import { openStore } from '../dist/src/store/index.js'

// npm run bench -- vaults [--vaults 20000] [--json]
// What a step costs that finds nothing to do, with many vaults and as many payers in the directory;
// and what it costs to save a new view of the chain, whole and with one vault changed.

const IDLE_MS_MAX = 5
const STEPS = 200

export async function run(options) {
  const { values } = parseArgs({
    args: options,
    options: {
      vaults: { type: 'string', default: '20000' },
      json: { type: 'boolean', default: false },
    },
  })
  const size = Number(values.vaults)
  const folder = mkdtempSync(join(tmpdir(), 'flowmeter-vaults-'))
  const store = openStore(join(folder, 'store.sqlite'), { now: Date.now })
  try {
    await store.migrate()
    const result = await measure(store, size)
    const ok = result.idleStepMs <= IDLE_MS_MAX
    if (values.json) console.log(JSON.stringify({ bench: 'vaults', ok, ...result }))
    else console.log(result)
    return ok ? 0 : 1
  } finally {
    await store.close()
    rmSync(folder, { recursive: true })
  }
}

async function measure(store, size) {
  const vaults = Array.from({ length: size }, (_, i) => ({
    account: BigInt(i + 1),
    isOpen: true,
    periodKind: 'month',
    openedPeriodStart: 1_788_220_800,
    floor: 0,
    plans: [{ fromPeriodStart: 1_788_220_800, planId: '1' }],
  }))
  const view = { vaults, models: ['gpt-4o'], plans: new Map() }
  const save = (one) => store.transaction(({ books }) => books.saveChainView(one))
  const payers = new Map(vaults.map(({ account }) => [`user-${account}`, account]))
  const saveViewMs = await timed(() => save(view))
  const saveDirectoryMs = await timed(() => store.directory.setAll(payers, true))
  const [first, ...others] = vaults
  const closed = { ...view, vaults: [{ ...first, isOpen: false }, ...others] }
  const saveOneChangeMs = await timed(() => save(closed))
  const saveSameMs = await timed(() => save(closed))

  const settings = attributionSettings({
    mapping: mappingConfig.parse({}),
    modelAliases: {},
    holdUnknownModels: false,
  })
  const step = () => attributeNext({ ...store, settings })
  const firstStepMs = await timed(step)
  const idleStepMs = (await timed(() => repeated(step))) / STEPS
  const rounded = Object.entries({
    ...{ saveViewMs, saveDirectoryMs, saveOneChangeMs, saveSameMs, firstStepMs, idleStepMs },
  }).map(([name, ms]) => [name, Number(ms.toFixed(2))])
  return { vaults: size, ...Object.fromEntries(rounded) }
}

async function repeated(step) {
  for (let i = 0; i < STEPS; i += 1) {
    if ((await step()) !== 'idle') throw new Error('there was something to do')
  }
}

async function timed(work) {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}
