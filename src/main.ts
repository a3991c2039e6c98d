#!/usr/bin/env node
import { inspect } from 'node:util'
import { terminalAsker } from './cli/asker.js'
import { lazyDesks } from './cli/desk-parts.js'
import { exitCodeOf, isTold } from './cli/exit-code.js'
import { createProgram } from './cli/index.js'
import { ConfigError, RetryableError, TerminalError } from './domain/errors.js'
import { redact } from './runtime/redaction.js'
import { version } from './version.js'

/** Supervisors wait longer than this before they kill. */
const GRACE_MS = 20_000
const folder = process.cwd()
const print = (line: string): void => void process.stdout.write(`${redact(line)}\n`)
let isDaemon = false

/** Everything heavy is imported by the command that needs it: `map` answers without any chain. */
const program = createProgram({
  version,
  print,
  async start() {
    isDaemon = true
    const { startDaemon } = await import('./start.js')
    await startDaemon(process.env, folder, shutdownSignal())
  },
  async mapUser(user) {
    const { mapUser } = await import('./cli/tools.js')
    return mapUser(user, process.env, folder)
  },
  async readStatus() {
    const { readStoredStatus } = await import('./cli/tools.js')
    return readStoredStatus(process.env, folder)
  },
  async withDirectory(work) {
    const { withDirectory } = await import('./cli/tools.js')
    return withDirectory(process.env, folder, work)
  },
  async examine() {
    const { examineAll } = await import('./cli/examine.js')
    return examineAll(process.env, folder, shutdownSignal())
  },
  async metering() {
    const { meteringTools } = await import('./cli/metering.js')
    return meteringTools(process.env, folder, shutdownSignal())
  },
  async receipts() {
    const { receiptsTools } = await import('./cli/receipts-tools.js')
    return receiptsTools(process.env, folder)
  },
  async config() {
    const { configTools } = await import('./cli/config-tools.js')
    return configTools(process.env, folder)
  },
  async init() {
    const { initTools } = await import('./cli/init-tools.js')
    return initTools(process.env, folder)
  },
  asker: terminalAsker,
  async operations() {
    const { operationsTools } = await import('./cli/operations.js')
    return operationsTools(process.env, folder, shutdownSignal())
  },
  async notices() {
    const { noticeTools } = await import('./cli/notices-tools.js')
    return noticeTools(process.env, folder, shutdownSignal())
  },
  async reports() {
    const { reportTools } = await import('./cli/report-tools.js')
    return reportTools(process.env, folder, shutdownSignal())
  },
  async tokens() {
    const { tokensTools } = await import('./cli/tokens-tools.js')
    return tokensTools(process.env, folder)
  },
  async keys() {
    const { keysTools } = await import('./cli/keys-tools.js')
    return keysTools(process.env, folder, shutdownSignal())
  },
  async budgets() {
    const { budgetsTools } = await import('./cli/budgets-tools.js')
    return budgetsTools(process.env, folder)
  },
  async credits() {
    const { creditsTools } = await import('./cli/credits-tools.js')
    return creditsTools(process.env, folder)
  },
  async demo(options) {
    const { runDemo } = await import('./cli/demo.js')
    return runDemo(options, { print, signal: shutdownSignal() })
  },
  desks: lazyDesks(async () => {
    const { deskParts } = await import('./cli/desk-tools.js')
    const tell = (line: string): void => void process.stderr.write(`${redact(line)}\n`)
    return deskParts({ env: process.env, folder, tell, shutdownSignal })
  }),
})

/** Aborted by the first signal; the second one means "now". */
function shutdownSignal(): AbortSignal {
  const shutdown = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (shutdown.signal.aborted) process.exit(1)
      shutdown.abort()
      setTimeout(() => process.exit(1), GRACE_MS).unref()
    })
  }
  return shutdown.signal
}

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
  const isExpected =
    error instanceof ConfigError ||
    error instanceof RetryableError ||
    error instanceof TerminalError
  // Commander has said its own already. What else stops the daemon is in its log.
  if (!isTold(error) && (isExpected || !isDaemon)) {
    process.stderr.write(redact(`error: ${isExpected ? error.message : inspect(error)}\n`))
  }
}
// PM2 starts a process with a channel and listens to it in there; open, it would keep us running.
if (process.connected) process.disconnect()
