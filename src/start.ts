import { loadConfig } from './config.js'
import { createLogger } from './runtime/log.js'

/** The daemon from its settings to its end. What stops it is logged, then thrown. */
export async function startDaemon(
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
  shutdown: AbortSignal,
): Promise<void> {
  const config = loadConfig(env, folder)
  const { logLevel: level, logFile: file } = config
  const log = createLogger({ level, file })
  for (const warning of config.warnings) log.warn(warning)
  try {
    const { runApp } = await import('./app.js')
    await runApp(config, log, shutdown).catch((error: unknown) => {
      // A stop that comes while it starts is a stop.
      if (!shutdown.aborted || !isAbort(error)) throw error
    })
    log.info('flowmeter has stopped')
  } catch (error) {
    log.fatal({ err: error }, 'stopped by an error')
    throw error
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
