/** The least that a daemon has to be told. Nobody listens at these addresses. */
export const COMPLETE_ENV: Readonly<Record<string, string>> = {
  LITELLM_API_URL: 'http://127.0.0.1:9/litellm',
  LITELLM_API_KEY: 'sk-canary-litellm-key',
  FLARE_ENDPOINT: 'http://127.0.0.1:9/flare',
  FLARE_ANCHOR_ADDRESS: `0x${'a1'.repeat(20)}`,
  FLARE_GAS_KEY: `0x${'c1'.repeat(32)}`,
  METER_KEY: `0x${'c2'.repeat(32)}`,
  FLOW_NETWORK: 'emulator',
  FLOW_ACCESS_NODE: 'http://127.0.0.1:9/flow',
  FLOW_ACCOUNT_ADDRESS: '0xf8d6e0586b0a20c7',
  FLOW_PRIVATE_KEY: 'c3'.repeat(32),
  FLOW_CONTRACTS_ADDRESS: '0xf8d6e0586b0a20c7',
  FLOW_PROVIDER_ID: '1',
  RECEIPT_SECRET: 'canary-receipt-secret-of-32-characters',
}

/** Those of them that have no default. */
export const REQUIRED: readonly string[] = [
  ...['LITELLM_API_URL', 'LITELLM_API_KEY', 'FLARE_ANCHOR_ADDRESS', 'FLARE_GAS_KEY', 'METER_KEY'],
  ...['FLOW_ACCOUNT_ADDRESS', 'FLOW_PRIVATE_KEY', 'FLOW_CONTRACTS_ADDRESS', 'FLOW_PROVIDER_ID'],
  'RECEIPT_SECRET',
]

/** The complete settings without some of them. */
export function envWithout(...names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(COMPLETE_ENV).filter(([name]) => !names.includes(name)))
}
