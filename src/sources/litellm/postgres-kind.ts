import type { SourceKind } from '../../ports/source-kind.js'
import { type LitellmPostgresConfig, litellmPostgresConfig } from './postgres-config.js'

/** LiteLLM's own database. A second reader of the same rows, so it shares this folder's parser. */
export const litellmPostgres = {
  config: litellmPostgresConfig,
  create: async (config, { secretOf }) =>
    (await import('./postgres-source.js')).litellmPostgresSource(
      config,
      secretOf(config.databaseUrlEnv),
    ),
  fixOf(code, { databaseUrlEnv, schema }) {
    switch (code) {
      case 'source_unreachable':
        return `Is PostgreSQL up, and does ${databaseUrlEnv} name its host and port?`
      case 'source_refused':
        return `Put the role and the password that PostgreSQL knows into ${databaseUrlEnv}.`
      case 'source_role':
        return (
          `Let the role read the rows: GRANT USAGE ON SCHEMA ${schema}, GRANT SELECT ON ` +
          `${schema}."LiteLLM_SpendLogs", and no row-level security in its way.`
        )
      case 'source_no_database':
        return `Let ${databaseUrlEnv} and "schema" name the database that LiteLLM writes.`
      default:
        return 'Is this the database of LiteLLM 1.81 or later?'
    }
  },
} satisfies SourceKind<LitellmPostgresConfig> & { readonly config: typeof litellmPostgresConfig }
