import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** A file that says which process has something for itself. */
export interface LockFile {
  /** Makes another process the holder: the one whose end should free the lock. */
  handTo(pid: number): void
  release(): void
}

/**
 * Takes the lock, or returns the id of the live process that holds it. A lock whose process is
 * gone is taken over.
 */
export function takeLock(path: string): LockFile | { readonly heldBy: number } {
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return {
        handTo: (pid) => writeFileSync(path, String(pid)),
        release: () => rmSync(path, { force: true }),
      }
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error
    }
    const holder = holderOf(path)
    if (holder === undefined) continue // Released between our two looks.
    if (isAlive(holder)) return { heldBy: holder }
    removeStale(path, holder)
  }
}

/** Moves the file away before it is deleted: of two that find it stale only one can, and a new
 * holder's file moved by mistake is seen by its content and put back. */
function removeStale(path: string, holder: number): void {
  const away = `${path}.${process.pid}`
  try {
    renameSync(path, away)
  } catch (error) {
    if (isCode(error, 'ENOENT')) return
    throw error
  }
  if (holderOf(away) === holder) rmSync(away, { force: true })
  else renameSync(away, path)
}

function holderOf(path: string): number | undefined {
  try {
    return Number(readFileSync(path, 'utf8'))
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function isAlive(pid: number): boolean {
  // An empty file is one that its writer has not filled yet, or died before it could.
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return !isZombie(pid)
  } catch (error) {
    return isCode(error, 'EPERM')
  }
}

/** Ended, but nobody has asked how: in a container without an init process such a one stays. */
function isZombie(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false // No such file system here, or it is gone by now.
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
