import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { basename, delimiter, join } from 'node:path'
import { buildEmulator, builtEmulatorPath } from './build.js'

export interface FindParts {
  /** Lines about what is going on: a first build takes minutes. */
  readonly log?: (line: string) => void
  /** Takes the Flow CLI's emulator too, which has no clock to move and may meter older fees. */
  readonly acceptsFlowCli?: boolean
}

/**
 * Finds the emulator: the program named by FLOW_EMULATOR, else the one built earlier, else (if it
 * is accepted) the Flow CLI on PATH, else builds it from `tools/flow-emulator` with Go.
 *
 * @returns the program and its first arguments.
 * @throws Error that says what to install when there is none and none can be built.
 */
export async function findEmulator(parts: FindParts = {}): Promise<readonly [string, ...string[]]> {
  const given = process.env.FLOW_EMULATOR
  if (given !== undefined && given !== '') {
    if (!isProgram(given)) throw new Error(`FLOW_EMULATOR names ${given}, which is no program`)
    return basename(given) === 'flow' ? [given, 'emulator'] : [given]
  }
  const built = builtEmulatorPath()
  if (existsSync(built)) return [built]

  const flowCli = parts.acceptsFlowCli === true ? onPath('flow') : undefined
  if (flowCli !== undefined) return [flowCli, 'emulator']

  const go = onPath('go')
  if (go === undefined) {
    throw new Error(
      'there is no Flow emulator on this machine: install Go 1.26 or newer and a C compiler ' +
        '(it is then built once, in about 5 minutes), or set FLOW_EMULATOR to an emulator program',
    )
  }
  await buildEmulator({ go, ...(parts.log === undefined ? {} : { log: parts.log }) })
  return [built]
}

function onPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, name)).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
