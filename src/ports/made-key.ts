/** A key that an operator needs: its adapter makes it, and says what has to be done with it. */
export interface KeyNeed {
  /** The variable that takes it, or the path of its file with _FILE. */
  readonly setting: string
  /** Of the file that keeps it: `meter.key`. */
  readonly file: string
  readonly use: string
  /** A new one from the system's randomness, as the setting takes it. */
  make(): string
  /**
   * What others may know of a key: an address, or a public key and how it signs. A key that is kept
   * elsewhere is asked for it.
   *
   * @throws ConfigError `made_key` where the text is no such key; and as the port KeySigner says
   */
  publicOf(key: string): Promise<string>
  /** What is to be done with `publicOf` before the key is of use; undefined: nothing. */
  readonly next?: string
}

/** The networks that Flowmeter is set up on: both chains' that belong together. */
export const NETWORKS = ['testnet', 'mainnet', 'emulator'] as const
export type Network = (typeof NETWORKS)[number]

/** What an adapter brings to a set-up. */
export interface SetUpNeeds {
  readonly keys: readonly KeyNeed[]
  /** Settings of this network that are not the defaults. */
  readonly settings: Readonly<Record<string, string>>
}
