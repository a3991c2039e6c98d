import { constants } from 'node:fs'
import { link, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

export const OWNER_ONLY = 0o600
const OWNER_ONLY_FOLDER = 0o700

/**
 * Replaces a file whole: a crash leaves the old one or the new one. On the disk, name included, when
 * this returns: a power cut later does not take it back.
 */
export async function writeDurably(path: string, text: string, mode = OWNER_ONLY): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const fresh = `${path}.tmp`
  await synced(fresh, text, mode)
  await rename(fresh, path)
  await syncFolder(path)
}

/** Makes a file for its owner alone. False: there was one, which stays as it is. */
export async function createOnce(path: string, text: string): Promise<boolean> {
  await mkdir(dirname(path), { recursive: true, mode: OWNER_ONLY_FOLDER })
  const fresh = `${path}.tmp`
  await synced(fresh, text, OWNER_ONLY)
  try {
    await link(fresh, path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    await rm(fresh, { force: true })
  }
  await syncFolder(path)
  return true
}

async function synced(path: string, text: string, mode: number): Promise<void> {
  await rm(path, { force: true }) // What a crash left may have rights of its own.
  const handle = await open(path, 'wx', mode)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(dirname(path), constants.O_RDONLY)
  await handle.sync().finally(() => handle.close())
}
