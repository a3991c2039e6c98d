type Release = () => void | Promise<void>

/** Closes what was opened, newest first. One failing release never stops the others. */
export class ReleaseStack {
  readonly #releases: Release[] = []

  add(release: Release): void {
    this.#releases.push(release)
  }

  async releaseAll(): Promise<void> {
    const errors: unknown[] = []
    for (const release of this.#releases.splice(0).reverse()) {
      try {
        await release()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'shutdown was not clean')
  }
}
