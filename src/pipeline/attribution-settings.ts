import { keccak, utf8 } from '../domain/bytes.js'
import { canonicalJson } from '../domain/canonical-json.js'
import { createMapping, type MappingConfig } from '../mapping/index.js'
import type { ModelAliases } from '../pricing/model-aliases.js'
import type { AttributeSettings } from './attribute.js'

export interface AttributionConfig {
  readonly mapping: MappingConfig
  readonly modelAliases: ModelAliases
  readonly holdUnknownModels: boolean
}

/** @param ruleVersion of the operator's own rule of what counts, where there is one */
export function attributionSettings(
  { mapping, modelAliases, holdUnknownModels }: AttributionConfig,
  ruleVersion?: string,
): AttributeSettings {
  const chain = mapping.chain.map((strategy) => JSON.stringify(strategy))
  const hold = holdUnknownModels ? 'hold' : 'other'
  const sources = Object.entries(mapping.sources ?? {}).map(([name, { payerField }]) => [
    name,
    payerField,
  ])
  const content = [mapping.payerField, chain, modelAliases, hold, ...sources.sort()]
  return {
    payerField: mapping.payerField,
    sources: mapping.sources ?? {},
    directories: mapping.chain.flatMap((one) =>
      one.kind === 'sql' || one.kind === 'module' ? [one.name] : [],
    ),
    isRivalryRefused: mapping.chain.some(({ kind }) => kind === 'legacy_hash'),
    map: createMapping(mapping),
    modelAliases,
    isUnknownModelHeld: holdUnknownModels,
    ...(ruleVersion === undefined ? {} : { ruleVersion }),
    version: keccak(utf8(canonicalJson(content))),
  }
}
