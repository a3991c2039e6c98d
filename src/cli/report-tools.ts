import { loadMappingConfig } from '../config.js'
import { makeReport } from '../reports/index.js'
import { questionOf } from '../reports/report.js'
import { systemClock as clock } from '../runtime/clock.js'
import type { ReportTools } from './report.js'
import { withStore } from './stored.js'

type Environment = Readonly<Record<string, string | undefined>>

export function reportTools(env: Environment, folder: string, signal: AbortSignal): ReportTools {
  return {
    async make(kind, asked) {
      const { mapping, databaseUrl } = loadMappingConfig(env, folder)
      const question = questionOf(kind, asked, clock.now(), mapping.payerField)
      if (typeof question === 'string') return question
      return withStore(databaseUrl, (stores) => makeReport({ stores, clock }, question, signal))
    },
  }
}
