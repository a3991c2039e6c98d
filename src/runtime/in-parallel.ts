/** Waits for all of it, also when a part fails, and then throws the first failure. */
export async function inParallel<Result>(
  works: readonly (() => Promise<Result>)[],
): Promise<Result[]> {
  const results = await Promise.allSettled(works.map((work) => work()))
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}
