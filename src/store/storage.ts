import { stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Room on the disk of a store, and what the store takes of it. */
export async function storageOf(
  file: string,
): Promise<{ readonly freeBytes: number; readonly storeBytes: number }> {
  const { bavail, bsize } = await statfs(dirname(file))
  const sizes = await Promise.all([file, `${file}-wal`].map(sizeOf))
  return { freeBytes: bavail * bsize, storeBytes: sizes.reduce((sum, size) => sum + size, 0) }
}

/** The log beside the store comes and goes. */
async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  )
}
