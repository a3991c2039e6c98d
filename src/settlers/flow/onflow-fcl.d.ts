/** The parts of fcl that are used here: release 1.21.11 names type files that it does not ship. */
declare module '@onflow/fcl' {
  /** One step of building a transaction. */
  export type Builder = (interaction: object) => object | Promise<object>

  export interface Argument {
    readonly value: unknown
  }

  export interface Signable {
    /** Hex of the bytes to be hashed and signed, domain tag included. */
    readonly message: string
  }

  export interface CompositeSignature {
    readonly addr: string
    readonly keyId: number
    /** r ‖ s in hex. */
    readonly signature: string
  }

  /** Given an account that is not known yet, says which one it is and how it signs. */
  export type Authorization = (account: object) => object

  /** What a transaction consists of, signatures included. */
  export interface Voucher {
    readonly cadence: string
    readonly refBlock: string
    readonly computeLimit: number
    readonly arguments: readonly unknown[]
    readonly proposalKey: { address: string; keyId: number; sequenceNum: number }
    readonly payer: string
    readonly authorizers: readonly string[]
    readonly payloadSigs: readonly { address: string; keyId: number; sig: string }[]
    readonly envelopeSigs: readonly { address: string; keyId: number; sig: string }[]
  }

  export function transaction(cadence: string): Builder
  export function args(values: readonly Argument[]): Builder
  /** `type.asArgument` turns the value into JSON-Cadence. */
  export function arg<T>(value: T, type: { asArgument(value: T): unknown }): Argument
  export function ref(blockId: string): Builder
  export function limit(computeUnits: number): Builder
  export function proposer(authorization: Authorization): Builder
  export function payer(authorization: Authorization): Builder
  export function authorizations(authorizations: readonly Authorization[]): Builder
  export function build(steps: readonly Builder[]): Promise<object>
  /** Resolves and signs what was built. @returns the JSON of a `Voucher` */
  export function serialize(interaction: object): Promise<string>
  /** @returns 64 hex digits. Right only where one account has all roles. */
  export function voucherToTxId(voucher: Voucher): string
}
