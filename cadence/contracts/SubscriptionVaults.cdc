import "FungibleToken"
import "FlowToken"
import "PricePlans"
import "TokenPrices"
import "UsageBatches"

/// SubscriptionVaults
///
/// Keeps what customers have prepaid, and charges it for proven usage: the price of a period's
/// total, less what was charged for that period before.
///
/// All tokens of a type lie in one pool. Balances, debts and earnings are numbers, and settling
/// moves numbers only; tokens move on deposit, withdrawal and collection. So nothing that a customer
/// does with their own account can make the settlement of others fail.
///
/// Money is in wad (1e-18 of the plan's currency), tokens inside are in units (1e-8).
///
access(all) contract SubscriptionVaults {

    /// Allows letting vaults be opened in a token
    access(all) entitlement Govern

    /// Allows publishing plans and models, and reserving account numbers
    access(all) entitlement Operate

    /// Allows appending to the first part of the model table, and nothing else: a daemon may be given it
    access(all) entitlement RegisterModels

    /// Allows naming the key that signs usage
    access(all) entitlement SetMeter

    /// Allows taking earnings out
    access(all) entitlement Collect

    /// Allows lowering what was charged, and giving tokens
    access(all) entitlement Correct

    /// Allows saying which charges are too great to be applied unseen, and approving them
    access(all) entitlement Approve

    /// Allows ending vaults, with notice
    access(all) entitlement Close

    /// Allows opening vaults, taking balance out and changing limits. Only the customer holds it.
    access(all) entitlement Manage

    /// Emitted when a provider begins
    access(all) event ProviderCreated(provider: UInt64)

    /// Emitted when vaults may be opened in a token
    access(all) event TokenAllowed(token: String)

    /// Emitted when opening a vault takes another deposit for its storage
    access(all) event StorageDepositSet(token: String, amount: UFix64)

    /// Emitted when becoming a provider costs another amount of FLOW
    access(all) event ProviderFeeSet(amount: UFix64)

    /// Emitted when a provider keeps an account number for an address
    access(all) event NumberReserved(provider: UInt64, number: UInt64, holder: Address)

    /// Emitted when a customer opens a vault
    access(all) event VaultOpened(
        provider: UInt64, account: UInt64, customer: Address, plan: UInt64, token: String,
        openingPeriod: UInt32, isReserved: Bool
    )

    /// Emitted when anybody puts tokens into a vault
    access(all) event Deposited(
        provider: UInt64, account: UInt64, amount: UFix64, balance: UFix64
    )

    /// Emitted for every entry brought, whatever became of it
    ///
    /// @param charge, paid wad, by this entry; what is paid may be older debt
    /// @param charged wad of the period, after it
    /// @param owed, balance of the vault, after it: wad, units
    ///
    access(all) event EntrySettled(
        provider: UInt64, seq: UInt64, account: UInt64, periodStart: UInt32, result: String,
        charge: UInt, charged: UInt, paid: UInt, owed: UInt, balance: UInt
    )

    /// Emitted when a provider lowers the total of a period
    ///
    /// @param billable, charged of the period, after it: 1e-4 tokens, wad
    /// @param afterSeq batches of the meter epoch up to it change the period no more
    /// @param refunded wad that went from earnings back to the balance
    /// @param owed, balance of the vault, after it: wad, units
    ///
    access(all) event UsageCorrected(
        provider: UInt64, account: UInt64, periodStart: UInt32,
        billable: UInt128, charged: UInt, afterSeq: UInt64, meterEpoch: UInt32,
        refunded: UInt, owed: UInt, balance: UInt, reason: String
    )

    /// Emitted when debts are paid between settlements; wad, wad, units
    access(all) event OwedPaid(
        provider: UInt64, account: UInt64, paid: UInt, owed: UInt, balance: UInt
    )

    /// Emitted when a customer changes what may be paid
    access(all) event LimitsChanged(
        provider: UInt64, account: UInt64, isAutopayOn: Bool, isPaused: Bool,
        cap: UInt128?, entitled: UInt128?, validUntil: UInt64?
    )

    /// Emitted when a customer takes another plan from a later period on
    access(all) event PlanChosen(
        provider: UInt64, account: UInt64, plan: UInt64, fromPeriod: UInt32
    )

    /// Emitted when a customer asks for free balance
    access(all) event WithdrawalRequested(
        provider: UInt64, account: UInt64, amount: UFix64, maturesAt: UInt64, lapsesAt: UInt64
    )

    /// Emitted when a customer takes balance out
    access(all) event Withdrawn(
        provider: UInt64, account: UInt64, amount: UFix64, balance: UFix64
    )

    /// Emitted when a customer leaves, or a provider closes a vault. From `endsAt` (unix seconds) on
    /// anybody may end it.
    access(all) event VaultEnding(
        provider: UInt64, account: UInt64, isByCustomer: Bool, endsAt: UInt64
    )

    /// Emitted when a customer who gave notice takes it back
    access(all) event VaultStaying(provider: UInt64, account: UInt64)

    /// Emitted when a vault is closed for ever
    ///
    /// @param writtenOff wad that was owed and could not be paid
    /// @param refund units to be paid back, the storage deposit among them
    ///
    access(all) event VaultClosed(
        provider: UInt64, account: UInt64, writtenOff: UInt, refund: UInt
    )

    /// Emitted when what was left in a closed vault is paid back
    access(all) event Refunded(provider: UInt64, account: UInt64, amount: UFix64, to: Address?)

    /// Emitted when a customer names who gets what is left
    access(all) event RefundReceiverSet(provider: UInt64, account: UInt64, receiver: Address)

    /// Emitted when records of a vault that are too old to change are given up
    access(all) event FloorRaised(
        provider: UInt64, account: UInt64, floor: UInt32, records: Int
    )

    /// Emitted when a provider says which charge of one entry is too great to be applied unseen
    access(all) event MaxChargeSet(provider: UInt64, limit: UInt128?)

    /// Emitted when a provider lets charges of a period be applied up to a sum, in wad
    access(all) event ChargeApproved(
        provider: UInt64, account: UInt64, periodStart: UInt32, chargedUpTo: UInt128
    )

    /// Emitted when a provider gives tokens to a vault
    access(all) event Credited(
        provider: UInt64, account: UInt64, amount: UFix64, balance: UFix64, reason: String
    )

    /// Emitted when a provider takes earnings out
    access(all) event EarningsCollected(
        provider: UInt64, token: String, currency: String, amount: UFix64, earnings: UFix64
    )

    /// Where each keeps what is theirs
    access(all) let GovernorPath: StoragePath
    access(all) let ProviderPath: StoragePath
    access(all) let CustomerPath: StoragePath

    /// Seconds that a record stays: no floor is nearer to block time
    access(all) let recordsKept: UInt64

    /// By token type
    access(self) let pools: @{Type: {FungibleToken.Vault}}

    /// Units that opening a vault takes, by token type
    access(self) let storageDeposits: {Type: UInt64}

    /// Units of all books of all providers, by token type: kept up whenever tokens come or go, so that
    /// no look at the pools takes longer for strangers' books
    access(self) let accounted: {Type: UInt64}

    /// Units of FLOW that becoming a provider costs
    access(self) var providerFee: UInt64

    /// By provider, from 1
    access(self) let desks: @{UInt64: Desk}

    /// Room for later versions: an upgrade cannot add fields
    access(self) let extensions: {String: AnyStruct}

    /// Record
    ///
    /// A view of what was applied of one billing period of a vault. Its one integer, from the
    /// lowest bit: charged u120, billable u128, lastSeq u64, meterEpoch u32.
    ///
    access(all) struct Record {
        access(all) let meterEpoch: UInt32
        access(all) let lastSeq: UInt64

        /// 1e-4 tokens
        access(all) let billable: UInt128

        /// Wad
        access(all) let charged: UInt128

        view init(_ packed: UInt) {
            self.meterEpoch = UInt32(packed / (1 << 312))
            self.lastSeq = UInt64(packed / (1 << 248) & 0xffffffffffffffff)
            self.billable = UInt128(packed / (1 << 120) & 0xffffffffffffffffffffffffffffffff)
            self.charged = UInt128(packed & 0xffffffffffffffffffffffffffffff)
        }
    }

    /// Limits
    ///
    /// A customer's say over payments. As one integer, from the lowest bit: flags u8 (autopay 1,
    /// paused 2, cap 4, entitlement 8, end 16), validUntil u64, cap u128, entitled u128.
    ///
    access(all) struct Limits {
        access(all) let isAutopayOn: Bool
        access(all) let isPaused: Bool

        /// Wad in a billing period of the calendar; nil: no limit
        access(all) let cap: UInt128?

        /// Wad that may still be paid; nil: no limit
        access(all) let entitled: UInt128?

        /// Unix seconds; nil: for ever
        access(all) let validUntil: UInt64?

        view init(
            isAutopayOn: Bool, isPaused: Bool,
            cap: UInt128?, entitled: UInt128?, validUntil: UInt64?
        ) {
            self.isAutopayOn = isAutopayOn
            self.isPaused = isPaused
            self.cap = cap
            self.entitled = entitled
            self.validUntil = validUntil
        }

        access(all) view fun pack(): UInt {
            return (self.isAutopayOn ? 1 : 0) | (self.isPaused ? 2 : 0)
                | (self.cap == nil ? 0 : 4) | (self.entitled == nil ? 0 : 8)
                | (self.validUntil == nil ? 0 : 16)
                | UInt(self.validUntil ?? 0) << 8
                | UInt(self.cap ?? 0) << 72 | UInt(self.entitled ?? 0) << 200
        }
    }

    /// Withdrawal
    ///
    /// A request for free balance. It can be executed from `maturesAt` to `lapsesAt`.
    ///
    access(all) struct Withdrawal {
        access(all) let amount: UFix64

        /// Unix seconds
        access(all) let maturesAt: UInt64
        access(all) let lapsesAt: UInt64

        view init(amount: UFix64, maturesAt: UInt64, lapsesAt: UInt64) {
            self.amount = amount
            self.maturesAt = maturesAt
            self.lapsesAt = lapsesAt
        }
    }

    /// Book
    ///
    /// The running sums of a provider's vaults of one token and currency.
    ///
    access(all) struct Book {
        access(all) let token: Type
        access(all) let currency: String

        /// Units: in all vaults, paid but not collected, and put aside for storage
        access(all) var balances: UInt64
        access(all) var earnings: UInt64
        access(all) var storageDeposits: UInt64

        /// Wad
        access(all) var charged: UInt256
        access(all) var paid: UInt256
        access(all) var owed: UInt256
        access(all) var writtenOff: UInt256

        access(contract) let extensions: {String: AnyStruct}

        init(token: Type, currency: String) {
            self.token = token
            self.currency = currency
            self.balances = 0
            self.earnings = 0
            self.storageDeposits = 0
            self.charged = 0
            self.paid = 0
            self.owed = 0
            self.writtenOff = 0
            self.extensions = {}
        }

        access(contract) fun deposited(_ units: UInt64) {
            self.balances = self.balances + units
            SubscriptionVaults.came(units, of: self.token)
        }

        access(contract) fun withdrawn(_ units: UInt64) {
            self.balances = self.balances - units
            SubscriptionVaults.went(units, of: self.token)
        }

        access(contract) fun collected(_ units: UInt64) {
            self.earnings = self.earnings - units
            SubscriptionVaults.went(units, of: self.token)
        }

        access(contract) fun putAside(_ units: UInt64) {
            self.storageDeposits = self.storageDeposits + units
            SubscriptionVaults.came(units, of: self.token)
        }

        /// Storage deposit that becomes balance again
        ///
        access(contract) fun released(_ units: UInt64) {
            self.storageDeposits = self.storageDeposits - units
            self.balances = self.balances + units
        }

        /// @param charge new, which nobody will pay
        /// @param owed until now
        ///
        access(contract) fun wroteOff(charge: UInt, owed: UInt) {
            self.charged = self.charged + UInt256(charge)
            self.owed = self.owed - UInt256(owed)
            self.writtenOff = self.writtenOff + UInt256(charge + owed)
        }

        /// @param moved from the lowest bit: charge u160 and paid u160 in wad, units moved
        ///
        access(contract) fun settled(_ moved: UInt) {
            post {
                self.charged == self.paid + self.owed + self.writtenOff:
                    "SubscriptionVaults.Book.settled: Charged \(self.charged) is not what is paid, owed and written off"
                self.balances + self.earnings == before(self.balances + self.earnings):
                    "SubscriptionVaults.Book.settled: Units were made or lost"
            }
            let charge = UInt256(moved & 0xffffffffffffffffffffffffffffffffffffffff)
            let paid = UInt256(moved / (1 << 160) & 0xffffffffffffffffffffffffffffffffffffffff)
            let units = UInt64(moved / (1 << 320))
            self.charged = self.charged + charge
            self.paid = self.paid + paid
            self.owed = self.owed + charge - paid
            self.balances = self.balances - units
            self.earnings = self.earnings + units
        }

        access(contract) fun corrected(_ relief: Relief) {
            pre {
                relief.units <= self.earnings:
                    "SubscriptionVaults.Book.corrected: \(relief.units) units are above the earnings of \(self.earnings)"
            }
            post {
                self.charged == self.paid + self.owed + self.writtenOff:
                    "SubscriptionVaults.Book.corrected: Charged \(self.charged) is not what is paid, owed and written off"
                self.balances + self.earnings == before(self.balances + self.earnings):
                    "SubscriptionVaults.Book.corrected: Units were made or lost"
            }
            self.charged = self.charged - UInt256(relief.sum())
            self.owed = self.owed - UInt256(relief.owed)
            self.writtenOff = self.writtenOff - UInt256(relief.writtenOff)
            self.paid = self.paid - UInt256(relief.refunded)
            self.balances = self.balances + relief.units
            self.earnings = self.earnings - relief.units
        }
    }

    /// Relief
    ///
    /// Where a charge that is taken back goes: first to what is still owed.
    ///
    access(all) struct Relief {
        /// Wad: taken off what is owed, off what was written off, and off what was paid
        access(all) let owed: UInt
        access(all) let writtenOff: UInt
        access(all) let refunded: UInt

        /// Tokens from earnings to the balance for what was paid. Part of a unit counts as one.
        access(all) let units: UInt64

        /// @param charge wad taken back
        /// @param owed, writtenOff of the vault, in wad
        /// @param price wad for a whole token; 0: nothing that was paid can be given back now
        ///
        view init(_ charge: UInt, owed: UInt, writtenOff: UInt, price: UInt) {
            self.owed = charge < owed ? charge : owed
            let rest = charge - self.owed
            self.writtenOff = rest < writtenOff ? rest : writtenOff
            self.refunded = rest - self.writtenOff
            assert(
                self.refunded == 0 || price > 0,
                message: "SubscriptionVaults.Relief.init: Without a price of the token nothing can be given back. Try again when there is one."
            )
            let exact = self.refunded * 100_000_000
            self.units = exact == 0 ? 0 : UInt64((exact + price - 1) / price)
        }

        access(all) view fun sum(): UInt {
            return self.owed + self.writtenOff + self.refunded
        }
    }

    /// Agreement
    ///
    /// Of a vault, all that settling does not need. It lies apart, since whatever lies with the
    /// vault is read and written with it.
    ///
    access(all) struct Agreement {
        /// The address that opened the vault
        access(all) let customer: Address

        /// Gets what is left when the vault is closed
        access(contract) var refund: Capability<&{FungibleToken.Receiver}>

        /// Units put aside for the storage that the vault takes up; 0 when it is closed
        access(all) var storageDeposit: UInt64

        /// nil: none is under way
        access(all) var withdrawal: Withdrawal?

        /// Unix seconds from which the vault may be ended; nil: nobody wants that, or it is closed
        access(all) var endsAt: UInt64?

        /// Room for later versions: an upgrade cannot add fields
        access(contract) let extensions: {String: AnyStruct}

        init(
            customer: Address, refund: Capability<&{FungibleToken.Receiver}>,
            storageDeposit: UInt64
        ) {
            self.customer = customer
            self.refund = refund
            self.storageDeposit = storageDeposit
            self.withdrawal = nil
            self.endsAt = nil
            self.extensions = {}
        }

        /// A copy: a reference to the agreement gives only references to its parts
        ///
        access(all) view fun currentWithdrawal(): Withdrawal? {
            return self.withdrawal
        }

        access(contract) fun setWithdrawal(_ withdrawal: Withdrawal?) {
            self.withdrawal = withdrawal
        }

        access(contract) fun setRefund(_ refund: Capability<&{FungibleToken.Receiver}>) {
            self.refund = refund
        }

        access(contract) fun setEndsAt(_ endsAt: UInt64?) {
            self.endsAt = endsAt
        }

        /// Nothing is under way any more
        ///
        /// @return the storage deposit, in units
        ///
        access(contract) fun end(): UInt64 {
            let storageDeposit = self.storageDeposit
            self.storageDeposit = 0
            self.withdrawal = nil
            self.endsAt = nil
            return storageDeposit
        }
    }

    /// Vault
    ///
    /// One customer's numbers, packed into few integers: a stored field costs seven times what
    /// taking a number apart does.
    ///
    access(all) resource Vault {
        /// What settling only looks at. From the lowest bit: floor u32, opening period u32, period
        /// kind u8, status u8 (see `status`), reserved number u8, spare u8, book u16, spare u16; from bit 128 the limits; from bit 456
        /// the plans, newest lowest, each plan id u64 and first period u32.
        access(contract) var terms: UInt

        /// From the lowest bit: balance u64 in units; owed, charged, paid, writtenOff and spent
        /// u160 each, in wad; from bit 864 the period that `spent` is of. No sum comes near 2^160,
        /// since a period's price is below 2^120.
        access(self) var ledger: UInt

        /// By period start, see Record. By period start and 2^32: up to where charges of the
        /// period are approved, in wad. (A second dictionary would be read with every vault.)
        access(self) let records: {UInt: UInt}

        init(terms: UInt) {
            self.terms = terms
            self.ledger = 0
            self.records = {}
        }

        /// Charges what one entry adds to its period, and pays what can be paid
        ///
        /// Never panics: what cannot be applied is a result too, and stops no other entry.
        ///
        /// @param terms the vault's own, which the caller has read
        /// @param plan the one in force in the period
        /// @param position meter epoch << 64 | seq: entries of a period apply in this order
        /// @param clock see `SubscriptionVaults.clock`
        /// @param price wad for a whole token; 0: payment waits
        /// @param maxCharge wad above which a charge needs to be approved
        /// @return from the lowest bit: result u8; charge u120 and charged u120 of the period, paid
        /// u160, owed u160, all in wad; balance u64 and moved u64 in units
        ///
        access(contract) fun settle(
            _ entry: UInt, periodStart: UInt, terms: UInt, plan: &PricePlans.Plan?,
            position: UInt, clock: UInt, price: UInt, maxCharge: UInt
        ): UInt {
            let records = &self.records as auth(Mutate) &{UInt: UInt}
            let last = records[periodStart] ?? 0
            // A period that has a record was looked at before; only the floor may have risen.
            if last == 0 || periodStart < terms & 0xffffffff {
                let fault = self.faultOf(periodStart, clock: clock)
                if fault > 0 {
                    return self.refusal(fault, last)
                }
            }
            if position <= last / (1 << 248) {
                return self.refusal(1, last)
            }
            let total = plan!.billable(entry)
            if total == nil {
                return self.refusal(5, last)
            }
            let billable = total!
            if billable < last / (1 << 120) & 0xffffffffffffffffffffffffffffffff {
                return self.refusal(2, last)
            }
            // Without usage nothing is due: no minimum and no fee.
            let cost: UInt = billable == 0 && !UsageBatches.hasUsage(entry) ? 0 : plan!.price(billable)
            if cost >= 1 << 120 {
                return self.refusal(5, last)
            }
            let before = last & 0xffffffffffffffffffffffffffffff
            let charged = cost > before ? cost : before
            if charged - before > maxCharge && charged > records[periodStart | 1 << 32] ?? 0 {
                return self.refusal(6, last)
            }
            records[periodStart] = position << 248 | billable << 120 | charged
            if terms & 0xff << 72 == 3 << 72 {
                return self.writeOff(charged - before) | charged << 128
            }
            return self.pay(charged - before, terms: terms, clock: clock, price: price)
                | charged << 128
        }

        /// Adds a charge to what is owed, and pays of that what balance and limits allow
        ///
        /// @return as `settle`, without result and `charged`
        ///
        access(contract) fun pay(_ charge: UInt, terms: UInt, clock: UInt, price: UInt): UInt {
            var ledger = self.ledger
            // When the calendar's period is over, nothing is spent in the next one yet.
            let period = clock / (1 << (64 + (terms / (1 << 64) & 0xff) * 32)) & 0xffffffff
            if ledger / (1 << 864) != period {
                ledger = ledger & ((1 << 704) - 1) | period << 864
            }
            let owed = (ledger / (1 << 64) & 0xffffffffffffffffffffffffffffffffffffffff) + charge
            let isLimited = terms / (1 << 128) & 0xff != 1
            let payable = isLimited ? self.payable(owed, terms, ledger, clock) : owed
            let balance = ledger & 0xffffffffffffffff
            let worth: UInt = price == 0 ? 0 : payable * 100_000_000 / price
            let units = worth < balance ? worth : balance
            let paid = units * price / 100_000_000
            // The numbers lie side by side, and each stays in its bits: so they add up as one.
            self.ledger = ledger + (charge << 64) + (charge << 224)
                + (paid << 384) + (paid << 704) - (paid << 64) - units
            if isLimited && terms & (8 << 128) != 0 {
                self.terms = terms - (paid << 328)
            }
            return charge << 8 | paid << 248 | (owed - paid) << 408
                | (balance - units) << 568 | units << 632
        }

        /// Takes a charge of a closed vault, which nobody will pay
        ///
        /// @return as `settle`, without `charged`
        ///
        access(self) fun writeOff(_ charge: UInt): UInt {
            self.ledger = self.ledger + (charge << 224) + (charge << 544)
            return 7 | charge << 8 | (self.ledger & 0xffffffffffffffff) << 568
        }

        /// How much of a debt the customer's limits let be paid
        ///
        access(self) view fun payable(
            _ owed: UInt, _ terms: UInt, _ ledger: UInt, _ clock: UInt
        ): UInt {
            let limits = terms / (1 << 128)
            let isOver = clock & 0xffffffffffffffff > limits / (1 << 8) & 0xffffffffffffffff
            if limits & 3 != 1 || limits & 16 != 0 && isOver {
                return 0
            }
            var payable = owed
            if limits & 4 != 0 {
                let spent = ledger / (1 << 704) & 0xffffffffffffffffffffffffffffffffffffffff
                let cap = limits / (1 << 72) & 0xffffffffffffffffffffffffffffffff
                let left: UInt = cap > spent ? cap - spent : 0
                payable = payable < left ? payable : left
            }
            if limits & 8 != 0 {
                let left = limits / (1 << 200) & 0xffffffffffffffffffffffffffffffff
                payable = payable < left ? payable : left
            }
            return payable
        }

        /// How much of what is still owed the limits let be paid. To be asked when `pay` has begun the
        /// calendar's period, so that what was spent in an older one does not count.
        ///
        access(contract) view fun payableAfterPay(_ clock: UInt): UInt {
            return self.payable(UInt(self.owed()), self.terms, self.ledger, clock)
        }

        /// What `settle` returns for an entry that is not applied
        ///
        access(self) view fun refusal(_ result: UInt, _ last: UInt): UInt {
            let owed = self.ledger / (1 << 64) & 0xffffffffffffffffffffffffffffffffffffffff
            return result | (last & 0xffffffffffffffffffffffffffffff) << 128
                | owed << 408 | (self.ledger & 0xffffffffffffffff) << 568
        }

        /// Why nothing can be charged for a period: 3 badPeriod, 4 tooOld; 0: it can
        ///
        access(contract) view fun faultOf(_ periodStart: UInt, clock: UInt): UInt {
            let terms = self.terms
            if periodStart < terms / (1 << 32) & 0xffffffff {
                return 3
            }
            // Mostly it is the period that it is now: the clock has its start.
            if periodStart != clock / (1 << (64 + (terms / (1 << 64) & 0xff) * 32)) & 0xffffffff {
                let isPeriod = periodStart <= clock & 0xffffffffffffffff
                    && UInt(PricePlans.periodStart(self.period(), at: UInt64(periodStart))) == periodStart
                if !isPeriod {
                    return 3
                }
            }
            return periodStart < terms & 0xffffffff ? 4 : 0
        }

        /// Lowers the total of a period, and what it costs. Without a record, to nothing: then it
        /// only keeps out entries up to `position`.
        ///
        /// @param position see `settle`
        ///
        access(contract) fun correct(
            periodStart: UInt, billable: UInt, plan: &PricePlans.Plan,
            position: UInt, price: UInt
        ): Relief {
            let last = self.records[periodStart] ?? 0
            let known = last / (1 << 120) & 0xffffffffffffffffffffffffffffffff
            assert(
                billable <= known,
                message: "SubscriptionVaults.Vault.correct: A total of \(known) is not lowered to \(billable)"
            )
            let before = last & 0xffffffffffffffffffffffffffffff
            // Nothing was used after all, so there is no minimum and no fee. Usage that weighs nothing
            // is due again with its next entry.
            let cost: UInt = billable == 0 ? 0 : plan.price(billable)
            let charged = cost < before ? cost : before
            let applied = last / (1 << 248)
            self.records[periodStart] = (position > applied ? position : applied) << 248
                | billable << 120 | charged
            let relief = Relief(
                before - charged,
                owed: UInt(self.owed()),
                writtenOff: UInt(self.writtenOff()),
                price: price
            )
            self.ledger = self.ledger + UInt(relief.units) - (relief.owed << 64)
                - (relief.sum() << 224) - (relief.refunded << 384) - (relief.writtenOff << 544)
            return relief
        }

        access(contract) fun deposited(_ units: UInt64) {
            self.ledger = self.ledger + UInt(units)
        }

        access(contract) fun withdrawn(_ units: UInt64) {
            pre {
                UInt(units) <= self.ledger & 0xffffffffffffffff:
                    "SubscriptionVaults.Vault.withdrawn: \(units) units are above the balance"
            }
            self.ledger = self.ledger - UInt(units)
        }

        access(contract) fun setStatus(_ status: UInt8) {
            self.terms = self.terms - (UInt(self.status()) << 72) + (UInt(status) << 72)
        }

        /// Closes the vault for ever
        ///
        /// @return wad that was owed, and is written off
        ///
        access(contract) fun close(): UInt {
            let owed = UInt(self.owed())
            self.ledger = self.ledger - (owed << 64) + (owed << 544)
            self.setStatus(3)
            return owed
        }

        /// Raises the floor, and gives up the records below it
        ///
        /// @return how many there were
        ///
        access(contract) fun raiseFloor(_ floor: UInt32): Int {
            pre {
                floor > self.floor():
                    "SubscriptionVaults.Vault.raiseFloor: Nothing is between the floor of \(self.floor()) and \(floor)"
            }
            self.terms = self.terms - UInt(self.floor()) + UInt(floor)
            var records = 0
            for key in self.records.keys {
                if key & 0xffffffff < UInt(floor) {
                    self.records.remove(key: key)
                    records = records + (key < 1 << 32 ? 1 : 0)
                }
            }
            return records
        }

        access(contract) fun approve(periodStart: UInt32, chargedUpTo: UInt128) {
            self.records[UInt(periodStart) | 1 << 32] = UInt(chargedUpTo)
        }

        access(contract) fun setLimits(_ limits: Limits) {
            let plans = self.terms / (1 << 456)
            self.terms = self.terms & ((1 << 128) - 1) | limits.pack() << 128 | plans << 456
        }

        /// Takes a plan from a later period on. One that was chosen for that period gives way.
        ///
        access(contract) fun setPlan(_ plan: UInt64, from: UInt64) {
            let plans = self.terms / (1 << 456)
            let kept = plans / (1 << 64) & 0xffffffff == UInt(from) ? plans / (1 << 96) : plans
            let chosen = kept << 96 | UInt(from) << 64 | UInt(plan)
            self.terms = self.terms & ((1 << 456) - 1) | chosen << 456
        }

        /// The plan in force in a period; 0: it is before the first
        ///
        access(all) view fun planIn(periodStart: UInt): UInt {
            var plans = self.terms / (1 << 456)
            while plans / (1 << 64) & 0xffffffff > periodStart {
                plans = plans / (1 << 96)
            }
            return plans & 0xffffffffffffffff
        }

        /// Tokens
        access(all) view fun balance(): UFix64 {
            return SubscriptionVaults.tokens(UInt64(self.ledger & 0xffffffffffffffff))
        }

        /// Wad: charged and not yet paid
        access(all) view fun owed(): UInt256 {
            return self.sumAt(64)
        }

        /// Wad, over all periods
        access(all) view fun charged(): UInt256 {
            return self.sumAt(224)
        }

        /// Wad, over all periods
        access(all) view fun paid(): UInt256 {
            return self.sumAt(384)
        }

        /// Wad that nobody will pay
        access(all) view fun writtenOff(): UInt256 {
            return self.sumAt(544)
        }

        /// Wad paid in the billing period that it is now
        access(all) view fun spent(): UInt256 {
            let now = UInt64(getCurrentBlock().timestamp)
            let period = PricePlans.periodStart(self.period(), at: now)
            return self.ledger / (1 << 864) == UInt(period) ? self.sumAt(704) : 0
        }

        access(all) view fun limits(): Limits {
            let limits = self.terms / (1 << 128)
            let validUntil = UInt64(limits / (1 << 8) & 0xffffffffffffffff)
            let cap = UInt128(limits / (1 << 72) & 0xffffffffffffffffffffffffffffffff)
            let entitled = UInt128(limits / (1 << 200) & 0xffffffffffffffffffffffffffffffff)
            return Limits(
                isAutopayOn: limits & 1 != 0,
                isPaused: limits & 2 != 0,
                cap: limits & 4 == 0 ? nil : cap,
                entitled: limits & 8 == 0 ? nil : entitled,
                validUntil: limits & 16 == 0 ? nil : validUntil
            )
        }

        /// What was applied of a period; nil: nothing
        access(all) view fun record(periodStart: UInt32): Record? {
            if let packed = self.records[UInt(periodStart)] {
                return Record(packed)
            }
            return nil
        }

        /// Wad up to which charges of a period are approved; nil: none is
        access(all) view fun approvedUpTo(periodStart: UInt32): UInt? {
            return self.records[UInt(periodStart) | 1 << 32]
        }

        /// 0 day, 1 week, 2 month
        access(all) view fun period(): UInt8 {
            return UInt8(self.terms / (1 << 64) & 0xff)
        }

        /// No period before it is charged
        access(all) view fun openingPeriod(): UInt32 {
            return UInt32(self.terms / (1 << 32) & 0xffffffff)
        }

        /// No period before it can be charged any more. It only rises.
        access(all) view fun floor(): UInt32 {
            return UInt32(self.terms & 0xffffffff)
        }

        /// Its usage is paid for. Also while it is ending; not when it is closed.
        access(all) view fun isOpen(): Bool {
            return self.status() != 3
        }

        /// 0 open, 1 its customer leaves, 2 its provider closes it, 3 closed, 4 its customer leaves and
        /// the provider wants that too
        access(all) view fun status(): UInt8 {
            return UInt8(self.terms / (1 << 72) & 0xff)
        }

        /// The provider kept the number for this customer
        access(all) view fun isReserved(): Bool {
            return self.terms / (1 << 80) & 0xff == 1
        }

        /// Which of the provider's books it is in: that names its token and currency
        access(all) view fun bookIndex(): Int {
            return Int(self.terms / (1 << 96) & 0xffff)
        }

        /// First period and plan, earliest first
        access(all) fun plans(): [[UInt64; 2]] {
            let plans: [[UInt64; 2]] = []
            var rest = self.terms / (1 << 456)
            while rest > 0 {
                let from = UInt64(rest / (1 << 64) & 0xffffffff)
                plans.insert(at: 0, [from, UInt64(rest & 0xffffffffffffffff)])
                rest = rest / (1 << 96)
            }
            return plans
        }

        access(self) view fun sumAt(_ bit: UInt): UInt256 {
            return UInt256(self.ledger / (1 << bit) & 0xffffffffffffffffffffffffffffffffffffffff)
        }
    }

    /// Desk
    ///
    /// What the contract keeps for one provider: its vaults, the numbers kept for customers, and
    /// the running sums.
    ///
    access(all) resource Desk {
        access(all) let provider: UInt64

        /// The next account number that nobody asked for by name
        access(all) var nextNumber: UInt64

        /// Account numbers in the order of their opening
        access(all) let numbers: [UInt64]

        access(all) let books: [Book]

        /// Wad: a greater charge of one entry waits for approval; nil: none does
        access(all) var maxChargePerEntry: UInt128?

        access(self) let vaults: @{UInt64: Vault}

        access(self) let agreements: {UInt64: Agreement}

        access(self) let reserved: {UInt64: Address}

        /// Room for later versions: an upgrade cannot add fields
        access(self) let extensions: {String: AnyStruct}

        init(provider: UInt64) {
            self.provider = provider
            self.nextNumber = 1
            self.numbers = []
            self.books = []
            self.maxChargePerEntry = nil
            self.vaults <- {}
            self.agreements = {}
            self.reserved = {}
            self.extensions = {}
        }

        /// Settles entries whose proof was checked
        ///
        access(contract) fun settle(_ entries: [UInt], seq: UInt64, meterEpoch: UInt32) {
            let vaults = &self.vaults as &{UInt64: Vault}
            let provider = self.provider
            let position = UInt(meterEpoch) << 64 | UInt(seq)
            let clock = SubscriptionVaults.clock()
            let maxCharge = UInt(self.maxChargePerEntry ?? UInt128.max)
            // Neighbours mostly have the same book and plan, so these are looked up when they change.
            var book: UInt = 65536
            var price: UInt = 0
            var planId: UInt = 0
            var plan: &PricePlans.Plan? = nil
            var moved: UInt = 0
            for entry in entries {
                // Tag, account number u64 and period start u32 of the entry; 0: it is none.
                let key = UsageBatches.headOf(entry) / (1 << 256)
                let account = UInt64(key / (1 << 32) & 0xffffffffffffffff)
                let vault = vaults[account]
                if vault == nil || key == 0 {
                    self.refuse(key, seq)
                    continue
                }
                let terms = vault!.terms
                if terms / (1 << 96) & 0xffff != book {
                    self.settled(book, moved)
                    moved = 0
                    book = terms / (1 << 96) & 0xffff
                    price = self.priceOf(book)
                }
                // The newest plan, unless it is of a later period.
                let inForce = terms / (1 << 520) & 0xffffffff <= key & 0xffffffff
                    ? terms / (1 << 456) & 0xffffffffffffffff
                    : vault!.planIn(periodStart: key & 0xffffffff)
                if inForce != planId {
                    planId = inForce
                    plan = PricePlans.borrowPlan(UInt64(planId))
                }
                let outcome = vault!.settle(
                    entry, periodStart: key & 0xffffffff, terms: terms, plan: plan,
                    position: position, clock: clock, price: price, maxCharge: maxCharge
                )
                let charge = outcome / (1 << 8) & 0xffffffffffffffffffffffffffffff
                let paid = outcome / (1 << 248) & 0xffffffffffffffffffffffffffffffffffffffff
                emit EntrySettled(
                    provider: provider,
                    seq: seq,
                    account: account,
                    periodStart: UInt32(key & 0xffffffff),
                    result: outcome & 0xff == 0 ? "applied" : self.resultName(outcome & 0xff),
                    charge: charge,
                    charged: outcome / (1 << 128) & 0xffffffffffffffffffffffffffffff,
                    paid: paid,
                    owed: outcome / (1 << 408) & 0xffffffffffffffffffffffffffffffffffffffff,
                    balance: outcome / (1 << 568) & 0xffffffffffffffff
                )
                if outcome & 0xff == 7 {
                    (&self.books[book] as &Book).wroteOff(charge: charge, owed: 0)
                    continue
                }
                moved = moved + charge + (paid << 160) + (outcome / (1 << 632) << 320)
            }
            self.settled(book, moved)
        }

        /// Pays what one vault owes, as far as it can be paid
        ///
        access(contract) fun payOwed(_ account: UInt64) {
            let vault = self.vaultOf(account)
            let terms = vault.terms
            let book = terms / (1 << 96) & 0xffff
            let outcome = vault.pay(
                0, terms: terms, clock: SubscriptionVaults.clock(), price: self.priceOf(book)
            )
            let paid = outcome / (1 << 248) & 0xffffffffffffffffffffffffffffffffffffffff
            emit OwedPaid(
                provider: self.provider,
                account: account,
                paid: paid,
                owed: outcome / (1 << 408) & 0xffffffffffffffffffffffffffffffffffffffff,
                balance: outcome / (1 << 568) & 0xffffffffffffffff
            )
            self.settled(book, paid << 160 | outcome / (1 << 632) << 320)
        }

        /// @return the account number
        ///
        access(contract) fun open(
            customer: Address, plan: UInt64, number: UInt64?, token: Type,
            storageDeposit: UInt64, refund: Capability<&{FungibleToken.Receiver}>
        ): UInt64 {
            let agreed = self.planOf(plan).terms
            let account = number ?? self.takeNextNumber()
            let isReserved = self.reserved[account] == customer
            assert(
                number == nil || isReserved,
                message: "SubscriptionVaults.Desk.open: Number \(account) is not kept for \(customer)"
            )
            assert(
                self.vaults[account] == nil,
                message: "SubscriptionVaults.Desk.open: Number \(account) has a vault already"
            )
            assert(
                TokenPrices.lastGood(token: token, currency: agreed.currency) != nil,
                message: "SubscriptionVaults.Desk.open: \(token.identifier) never had a good price in \(agreed.currency), so that nothing owed could be paid, nor what is left be taken out. Set a price first."
            )
            let book = self.bookOf(token: token, currency: agreed.currency)
            let now = UInt64(getCurrentBlock().timestamp)
            let opening = UInt(PricePlans.periodStart(agreed.period, at: now))
            let limits = Limits(
                isAutopayOn: true, isPaused: false, cap: nil, entitled: nil, validUntil: nil
            )
            self.vaults[account] <-! create Vault(
                terms: opening | opening << 32 | UInt(agreed.period) << 64
                    | (isReserved ? 1 : 0) << 80 | UInt(book) << 96
                    | limits.pack() << 128
                    | UInt(plan) << 456 | opening << 520
            )
            self.agreements[account] = Agreement(
                customer: customer, refund: refund, storageDeposit: storageDeposit
            )
            (&self.books[book] as &Book).putAside(storageDeposit)
            self.numbers.append(account)
            emit VaultOpened(
                provider: self.provider,
                account: account,
                customer: customer,
                plan: plan,
                token: token.identifier,
                openingPeriod: UInt32(opening),
                isReserved: isReserved
            )
            return account
        }

        access(contract) fun reserve(number: UInt64, holder: Address) {
            pre {
                self.vaults[number] == nil:
                    "SubscriptionVaults.Desk.reserve: Number \(number) has a vault already"
            }
            self.reserved[number] = holder
            emit NumberReserved(provider: self.provider, number: number, holder: holder)
        }

        access(contract) fun deposited(_ account: UInt64, _ amount: UFix64) {
            let vault = self.vaultOf(account)
            let units = SubscriptionVaults.units(amount)
            vault.deposited(units)
            (&self.books[vault.bookIndex()] as &Book).deposited(units)
            emit Deposited(
                provider: self.provider,
                account: account,
                amount: amount,
                balance: vault.balance()
            )
        }

        access(contract) fun requestWithdrawal(_ account: UInt64, amount: UFix64) {
            let maturesAt = self.noticeEnd(account)
            let withdrawal = Withdrawal(
                amount: amount, maturesAt: maturesAt, lapsesAt: maturesAt + 86400
            )
            self.borrowAgreement(account)!.setWithdrawal(withdrawal)
            emit WithdrawalRequested(
                provider: self.provider,
                account: account,
                amount: amount,
                maturesAt: withdrawal.maturesAt,
                lapsesAt: withdrawal.lapsesAt
            )
        }

        /// Takes what was asked for off the balance, or what is still free of it
        ///
        /// @return the amount
        ///
        access(contract) fun executeWithdrawal(_ account: UInt64): UFix64 {
            let agreement = self.borrowAgreement(account)!
            let withdrawal = agreement.withdrawal
                ?? panic("SubscriptionVaults.Desk.executeWithdrawal: Nothing was asked for")
            let now = UInt64(getCurrentBlock().timestamp)
            assert(
                now >= withdrawal.maturesAt && now <= withdrawal.lapsesAt,
                message: "SubscriptionVaults.Desk.executeWithdrawal: It can be taken from \(withdrawal.maturesAt) to \(withdrawal.lapsesAt), and it is \(now)"
            )
            let free = self.free(account)
            let amount = withdrawal.amount < free ? withdrawal.amount : free
            assert(
                amount > 0.0,
                message: "SubscriptionVaults.Desk.executeWithdrawal: Nothing is free"
            )
            agreement.setWithdrawal(nil)
            let vault = self.vaultOf(account)
            vault.withdrawn(SubscriptionVaults.units(amount))
            (&self.books[vault.bookIndex()] as &Book).withdrawn(SubscriptionVaults.units(amount))
            emit Withdrawn(
                provider: self.provider,
                account: account,
                amount: amount,
                balance: vault.balance()
            )
            return amount
        }

        access(contract) fun setLimits(_ account: UInt64, _ limits: Limits) {
            self.vaultOf(account).setLimits(limits)
            emit LimitsChanged(
                provider: self.provider,
                account: account,
                isAutopayOn: limits.isAutopayOn,
                isPaused: limits.isPaused,
                cap: limits.cap,
                entitled: limits.entitled,
                validUntil: limits.validUntil
            )
        }

        access(contract) fun choosePlan(_ account: UInt64, plan: UInt64) {
            let vault = self.vaultOf(account)
            let chosen = self.planOf(plan).terms
            let book = &self.books[vault.bookIndex()] as &Book
            assert(
                chosen.currency == book.currency && chosen.period == vault.period(),
                message: "SubscriptionVaults.Desk.choosePlan: Plan \(plan) has another currency or period"
            )
            let now = UInt64(getCurrentBlock().timestamp)
            let from = PricePlans.nextPeriodStart(vault.period(), at: now)
            vault.setPlan(plan, from: from)
            emit PlanChosen(
                provider: self.provider,
                account: account,
                plan: plan,
                fromPeriod: UInt32(from)
            )
        }

        /// Begins a vault's notice. A provider's, where the customer gave theirs before, holds the
        /// customer to it: nobody could close a vault whose customer leaves and stays by turns.
        ///
        /// @param status 1: its customer leaves, 2: its provider closes it
        ///
        access(contract) fun beginEnding(_ account: UInt64, status: UInt8) {
            let vault = self.vaultOf(account)
            if status == 2 && vault.status() == 1 {
                vault.setStatus(4)
                emit VaultEnding(
                    provider: self.provider,
                    account: account,
                    isByCustomer: false,
                    endsAt: self.borrowAgreement(account)!.endsAt!
                )
                return
            }
            assert(
                vault.status() == 0,
                message: "SubscriptionVaults.Desk.beginEnding: Vault \(account) is closed, or will be"
            )
            let endsAt = self.noticeEnd(account)
            vault.setStatus(status)
            self.borrowAgreement(account)!.setEndsAt(endsAt)
            emit VaultEnding(
                provider: self.provider,
                account: account,
                isByCustomer: status == 1,
                endsAt: endsAt
            )
        }

        /// Takes a customer's own notice back. Debts and limits are what they were.
        ///
        access(contract) fun stay(_ account: UInt64) {
            let vault = self.vaultOf(account)
            assert(
                vault.status() == 1,
                message: "SubscriptionVaults.Desk.stay: The notice of vault \(account) is not its customer's to take back"
            )
            vault.setStatus(0)
            self.borrowAgreement(account)!.setEndsAt(nil)
            emit VaultStaying(provider: self.provider, account: account)
        }

        /// Closes a vault whose notice is over: pays what is owed, writes off what cannot be paid, and
        /// leaves the rest to be refunded
        ///
        /// A customer who leaves pays whatever the limits say. A provider who closes gets no more
        /// than the customer's limits allow.
        ///
        access(contract) fun end(_ account: UInt64) {
            let vault = self.vaultOf(account)
            let agreement = self.borrowAgreement(account)!
            let endsAt = agreement.endsAt
                ?? panic("SubscriptionVaults.Desk.end: Vault \(account) is closed, or nobody has asked for that")
            let now = UInt64(getCurrentBlock().timestamp)
            assert(
                now >= endsAt,
                message: "SubscriptionVaults.Desk.end: Vault \(account) can be ended from \(endsAt) on, and it is \(now)"
            )
            let book = UInt(vault.bookIndex())
            if vault.status() != 2 {
                vault.setLimits(Limits(
                    isAutopayOn: true, isPaused: false, cap: nil, entitled: nil, validUntil: nil
                ))
            }
            self.payOwed(account)
            assert(
                self.priceOf(book) > 0 || vault.balance() == 0.0
                    || vault.payableAfterPay(SubscriptionVaults.clock()) == 0,
                message: "SubscriptionVaults.Desk.end: Without a price of the token the debt of vault \(account) cannot be paid. Until there is one, what is free can be withdrawn."
            )
            let sums = &self.books[book] as &Book
            let writtenOff = vault.close()
            sums.wroteOff(charge: 0, owed: writtenOff)
            let storageDeposit = agreement.end()
            vault.deposited(storageDeposit)
            sums.released(storageDeposit)
            emit VaultClosed(
                provider: self.provider,
                account: account,
                writtenOff: writtenOff,
                refund: UInt(SubscriptionVaults.units(vault.balance()))
            )
        }

        /// Takes all that is left off a closed vault
        ///
        /// @return the amount
        ///
        access(contract) fun takeRest(_ account: UInt64, to: Address?): UFix64 {
            let vault = self.vaultOf(account)
            assert(
                !vault.isOpen(),
                message: "SubscriptionVaults.Desk.takeRest: Vault \(account) is not closed"
            )
            let amount = vault.balance()
            assert(
                amount > 0.0,
                message: "SubscriptionVaults.Desk.takeRest: Nothing is left in vault \(account)"
            )
            vault.withdrawn(SubscriptionVaults.units(amount))
            (&self.books[vault.bookIndex()] as &Book).withdrawn(SubscriptionVaults.units(amount))
            emit Refunded(provider: self.provider, account: account, amount: amount, to: to)
            return amount
        }

        access(contract) fun setRefund(
            _ account: UInt64, _ refund: Capability<&{FungibleToken.Receiver}>
        ) {
            self.borrowAgreement(account)!.setRefund(refund)
            emit RefundReceiverSet(
                provider: self.provider, account: account, receiver: refund.address
            )
        }

        /// Gives up the records of a vault that are too old to change
        ///
        access(contract) fun prune(_ account: UInt64) {
            let vault = self.vaultOf(account)
            let now = UInt64(getCurrentBlock().timestamp)
            let floor = UInt32(PricePlans.periodStart(
                vault.period(),
                at: now.saturatingSubtract(SubscriptionVaults.recordsKept)
            ))
            emit FloorRaised(
                provider: self.provider,
                account: account,
                floor: floor,
                records: vault.raiseFloor(floor)
            )
        }

        access(contract) fun setMaxCharge(_ limit: UInt128?) {
            self.maxChargePerEntry = limit
            emit MaxChargeSet(provider: self.provider, limit: limit)
        }

        access(contract) fun approve(
            _ account: UInt64, periodStart: UInt32, chargedUpTo: UInt128
        ) {
            self.periodOf(account, periodStart).approve(
                periodStart: periodStart, chargedUpTo: chargedUpTo
            )
            emit ChargeApproved(
                provider: self.provider,
                account: account,
                periodStart: periodStart,
                chargedUpTo: chargedUpTo
            )
        }

        access(contract) fun credited(_ account: UInt64, _ amount: UFix64, reason: String) {
            emit Credited(
                provider: self.provider,
                account: account,
                amount: amount,
                balance: self.vaultOf(account).balance(),
                reason: reason
            )
        }

        /// Lowers what one vault used in a period, and gives back what it was charged too much
        ///
        access(contract) fun correct(
            _ account: UInt64, periodStart: UInt32, billable: UInt128, afterSeq: UInt64,
            reason: String
        ) {
            let vault = self.periodOf(account, periodStart)
            let period = UInt(periodStart)
            let stream = UsageBatches.borrowStream(provider: self.provider)
                ?? panic("SubscriptionVaults.Desk.correct: Provider \(self.provider) has no meter")
            // A number far above the meter's would keep out all that it will ever seal.
            assert(
                afterSeq <= stream.highestSeq.saturatingAdd(16),
                message: "SubscriptionVaults.Desk.correct: afterSeq \(afterSeq) is more than 16 above \(stream.highestSeq), the highest batch accepted"
            )
            let relief = vault.correct(
                periodStart: period,
                billable: UInt(billable),
                plan: PricePlans.borrowPlan(UInt64(vault.planIn(periodStart: period)))!,
                position: UInt(stream.meterEpoch) << 64 | UInt(afterSeq),
                price: self.priceOf(UInt(vault.bookIndex()))
            )
            (&self.books[vault.bookIndex()] as &Book).corrected(relief)
            let record = vault.record(periodStart: periodStart)!
            emit UsageCorrected(
                provider: self.provider,
                account: account,
                periodStart: periodStart,
                billable: record.billable,
                charged: UInt(record.charged),
                afterSeq: record.lastSeq,
                meterEpoch: record.meterEpoch,
                refunded: relief.refunded,
                owed: UInt(vault.owed()),
                balance: UInt(SubscriptionVaults.units(vault.balance())),
                reason: reason
            )
        }

        access(contract) fun collect(token: Type, currency: String, amount: UFix64) {
            let units = SubscriptionVaults.units(amount)
            let index = self.indexOfBook(token: token, currency: currency)
                ?? panic("SubscriptionVaults.Desk.collect: There never were earnings of \(token.identifier) in \(currency)")
            let book = &self.books[index] as &Book
            assert(
                units <= book.earnings,
                message: "SubscriptionVaults.Desk.collect: \(amount) is above the earnings of \(SubscriptionVaults.tokens(book.earnings))"
            )
            book.collected(units)
            emit EarningsCollected(
                provider: self.provider,
                token: token.identifier,
                currency: currency,
                amount: amount,
                earnings: SubscriptionVaults.tokens(book.earnings)
            )
        }

        /// Tokens of a vault that may be asked back: all that no debt locks. Without a price a debt
        /// locks twice what it would at the last good one, so that a dead feed locks no balance.
        ///
        access(all) view fun free(_ account: UInt64): UFix64 {
            let vault = self.vaultOf(account)
            let owed = UInt(vault.owed())
            if owed == 0 {
                return vault.balance()
            }
            let price = self.priceOf(UInt(vault.bookIndex()))
            let book = &self.books[vault.bookIndex()] as &Book
            let lastGood = UInt(TokenPrices.lastGood(token: book.token, currency: book.currency) ?? 0)
            let rate = price == 0 ? lastGood : price
            if rate == 0 {
                return 0.0
            }
            let locked = (owed * (price == 0 ? 200_000_000 : 100_000_000) + rate - 1) / rate
            let balance = UInt(SubscriptionVaults.units(vault.balance()))
            return balance > locked ? SubscriptionVaults.tokens(UInt64(balance - locked)) : 0.0
        }

        access(all) view fun borrowVault(_ account: UInt64): &Vault? {
            return &self.vaults[account]
        }

        access(all) view fun borrowAgreement(_ account: UInt64): &Agreement? {
            return &self.agreements[account]
        }

        access(self) view fun vaultOf(_ account: UInt64): &Vault {
            return self.borrowVault(account)
                ?? panic("SubscriptionVaults.Desk.vaultOf: Provider \(self.provider) has no vault \(account)")
        }

        /// A vault that a period can be charged to
        ///
        access(self) view fun periodOf(_ account: UInt64, _ periodStart: UInt32): &Vault {
            let vault = self.vaultOf(account)
            let fault = vault.faultOf(UInt(periodStart), clock: SubscriptionVaults.clock())
            assert(
                fault == 0,
                message: "SubscriptionVaults.Desk.periodOf: Period \(periodStart) of vault \(account) is \(self.resultName(fault))"
            )
            return vault
        }

        /// When a notice that is given now is over, by the plan in force: unix seconds
        ///
        access(self) view fun noticeEnd(_ account: UInt64): UInt64 {
            let vault = self.vaultOf(account)
            let now = UInt64(getCurrentBlock().timestamp)
            let period = PricePlans.periodStart(vault.period(), at: now)
            let plan = PricePlans.borrowPlan(UInt64(vault.planIn(periodStart: UInt(period))))!
            return now + UInt64(plan.terms.notice)
        }

        /// A plan of this provider that is offered
        ///
        access(self) view fun planOf(_ plan: UInt64): &PricePlans.Plan {
            let found = PricePlans.borrowPlan(plan)
            assert(
                found?.provider == self.provider,
                message: "SubscriptionVaults.Desk.planOf: Plan \(plan) is not one of provider \(self.provider)"
            )
            assert(
                !PricePlans.isRetired(plan),
                message: "SubscriptionVaults.Desk.planOf: Plan \(plan) is retired: vaults on it keep it, and no other takes it on"
            )
            return found!
        }

        access(self) fun settled(_ book: UInt, _ moved: UInt) {
            if moved > 0 {
                (&self.books[book] as &Book).settled(moved)
            }
        }

        /// Wad for a whole token; 0: payment waits
        ///
        access(self) view fun priceOf(_ book: UInt): UInt {
            let current = &self.books[book] as &Book
            return UInt(
                TokenPrices.current(token: current.token, currency: current.currency) ?? 0
            )
        }

        access(self) view fun resultName(_ result: UInt): String {
            return [
                "applied", "stale", "regressed", "badPeriod", "tooOld", "malformed", "held",
                "writtenOff"
            ][result]
        }

        /// Says that an entry is of no vault, or is none at all
        ///
        /// @param key tag, account number u64 and period start u32; 0: it is none
        ///
        access(self) fun refuse(_ key: UInt, _ seq: UInt64) {
            emit EntrySettled(
                provider: self.provider,
                seq: seq,
                account: UInt64(key / (1 << 32) & 0xffffffffffffffff),
                periodStart: UInt32(key & 0xffffffff),
                result: key == 0 ? "malformed" : "unknownAccount",
                charge: 0,
                charged: 0,
                paid: 0,
                owed: 0,
                balance: 0
            )
        }

        access(self) fun takeNextNumber(): UInt64 {
            while self.vaults[self.nextNumber] != nil || self.reserved[self.nextNumber] != nil {
                self.nextNumber = self.nextNumber + 1
            }
            self.nextNumber = self.nextNumber + 1
            return self.nextNumber - 1
        }

        /// The index of the book of a token and currency. It is made if there is none.
        ///
        access(self) fun bookOf(token: Type, currency: String): Int {
            if let index = self.indexOfBook(token: token, currency: currency) {
                return index
            }
            self.books.append(Book(token: token, currency: currency))
            return self.books.length - 1
        }

        /// nil: there is none
        ///
        access(self) view fun indexOfBook(token: Type, currency: String): Int? {
            for i, book in self.books {
                if book.token == token && book.currency == currency {
                    return i
                }
            }
            return nil
        }
    }

    /// Subscription
    ///
    /// A customer's say over one vault.
    ///
    access(all) resource Subscription {
        access(all) let provider: UInt64

        /// The account number
        access(all) let number: UInt64

        access(self) let extensions: {String: AnyStruct}

        init(provider: UInt64, number: UInt64) {
            self.provider = provider
            self.number = number
            self.extensions = {}
        }

        /// Puts tokens in
        ///
        access(all) fun deposit(from: @{FungibleToken.Vault}) {
            SubscriptionVaults.deposit(provider: self.provider, account: self.number, from: <-from)
        }

        /// Asks for free balance, to be taken out after the plan's notice. It replaces an older
        /// request.
        ///
        access(Manage) fun requestWithdrawal(amount: UFix64) {
            pre {
                amount > 0.0:
                    "SubscriptionVaults.Subscription.requestWithdrawal: The amount is zero"
                amount <= self.desk().free(self.number):
                    "SubscriptionVaults.Subscription.requestWithdrawal: \(amount) is above the free \(self.desk().free(self.number))"
            }
            self.desk().requestWithdrawal(self.number, amount: amount)
        }

        /// Takes out what was asked for, or what is still free of it
        ///
        access(Manage) fun executeWithdrawal(): @{FungibleToken.Vault} {
            let book = self.desk().books[self.vault().bookIndex()]
            let amount = self.desk().executeWithdrawal(self.number)
            return <-SubscriptionVaults.takeFromPool(token: book.token, amount: amount)
        }

        /// Lets settlement pay, or lets what is charged be owed
        ///
        access(Manage) fun setAutopay(_ isOn: Bool) {
            let now = self.vault().limits()
            self.desk().setLimits(self.number, Limits(
                isAutopayOn: isOn, isPaused: now.isPaused,
                cap: now.cap, entitled: now.entitled, validUntil: now.validUntil
            ))
        }

        /// Stops all payments for a while. Usage is charged all the same.
        ///
        access(Manage) fun setPaused(_ isPaused: Bool) {
            let now = self.vault().limits()
            self.desk().setLimits(self.number, Limits(
                isAutopayOn: now.isAutopayOn, isPaused: isPaused,
                cap: now.cap, entitled: now.entitled, validUntil: now.validUntil
            ))
        }

        /// Limits what is paid in a billing period of the calendar
        ///
        /// @param limit wad; nil: no limit
        ///
        access(Manage) fun setCap(_ limit: UInt128?) {
            let now = self.vault().limits()
            self.desk().setLimits(self.number, Limits(
                isAutopayOn: now.isAutopayOn, isPaused: now.isPaused,
                cap: limit, entitled: now.entitled, validUntil: now.validUntil
            ))
        }

        /// Limits what may be paid from now on
        ///
        /// @param limit wad; nil: no limit
        /// @param validUntil unix seconds; nil: for ever
        ///
        access(Manage) fun setEntitlement(limit: UInt128?, validUntil: UInt64?) {
            let now = self.vault().limits()
            self.desk().setLimits(self.number, Limits(
                isAutopayOn: now.isAutopayOn, isPaused: now.isPaused,
                cap: now.cap, entitled: limit, validUntil: validUntil
            ))
        }

        /// Takes another plan of the provider from the next period on
        ///
        access(Manage) fun choosePlan(_ plan: UInt64) {
            self.desk().choosePlan(self.number, plan: plan)
        }

        /// Gives notice. When it is over, anybody may end the vault: what is owed is paid, whatever
        /// the limits say, and what is left goes to the refund receiver.
        ///
        access(Manage) fun leave() {
            self.desk().beginEnding(self.number, status: 1)
        }

        /// Takes that notice back, while the vault is not ended and the provider has not given notice too
        ///
        access(Manage) fun stay() {
            self.desk().stay(self.number)
        }

        /// Names who gets what is left when the vault is closed
        ///
        access(Manage) fun setRefundReceiver(_ refund: Capability<&{FungibleToken.Receiver}>) {
            let book = self.desk().books[self.vault().bookIndex()]
            SubscriptionVaults.checkReceiver(refund, of: book.token)
            self.desk().setRefund(self.number, refund)
        }

        /// Takes what is left in a closed vault, where its refund receiver does not
        ///
        access(Manage) fun takeRefund(): @{FungibleToken.Vault} {
            let token = self.desk().books[self.vault().bookIndex()].token
            let amount = self.desk().takeRest(self.number, to: nil)
            return <-SubscriptionVaults.takeFromPool(token: token, amount: amount)
        }

        access(self) view fun desk(): &Desk {
            return SubscriptionVaults.desk(self.provider)
        }

        access(self) view fun vault(): &Vault {
            return self.desk().borrowVault(self.number)!
        }
    }

    /// Customer
    ///
    /// Shows from which address somebody asks: a resource in storage knows whose storage it is in,
    /// and only that account can use what needs Manage.
    ///
    access(all) resource Customer {

        /// Opens a vault
        ///
        /// @param number one that the provider keeps for this address; nil: the next free one
        /// @param deposit names the token, and holds the storage deposit at least: what is above it
        /// is the first balance
        /// @param refund gets what is left when the vault is closed
        ///
        access(Manage) fun open(
            provider: UInt64, plan: UInt64, number: UInt64?,
            deposit: @{FungibleToken.Vault}, refund: Capability<&{FungibleToken.Receiver}>
        ): @Subscription {
            pre {
                self.owner != nil:
                    "SubscriptionVaults.Customer.open: The customer is in nobody's storage"
            }
            let token = deposit.getType()
            let storageDeposit = SubscriptionVaults.storageDeposit(token: token)
                ?? panic("SubscriptionVaults.Customer.open: \(token.identifier) is not allowed")
            assert(
                deposit.balance >= storageDeposit,
                message: "SubscriptionVaults.Customer.open: \(deposit.balance) is below the storage deposit of \(storageDeposit)"
            )
            SubscriptionVaults.checkReceiver(refund, of: token)
            let account = SubscriptionVaults.desk(provider).open(
                customer: self.owner!.address,
                plan: plan,
                number: number,
                token: token,
                storageDeposit: SubscriptionVaults.units(storageDeposit),
                refund: refund
            )
            SubscriptionVaults.putIntoPool(<-deposit.withdraw(amount: storageDeposit))
            SubscriptionVaults.deposit(
                provider: provider,
                account: account,
                from: <-deposit
            )
            return <-create Subscription(provider: provider, number: account)
        }
    }

    /// Provider
    ///
    /// A provider's say over its plans, meter and earnings.
    ///
    access(all) resource Provider {
        access(all) let id: UInt64

        access(self) let extensions: {String: AnyStruct}

        init(id: UInt64) {
            self.id = id
            self.extensions = {}
        }

        /// Appends to the model table. A name that is in it keeps its id.
        ///
        access(Operate) fun registerModels(_ names: [String]) {
            PricePlans.registerModels(provider: self.id, names: names)
        }

        /// The same for somebody else, who may not fill the table: most of its 65535 places stay the
        /// provider's own
        ///
        access(RegisterModels) fun appendModels(_ names: [String]) {
            post {
                PricePlans.modelCount(provider: self.id) <= 4096:
                    "SubscriptionVaults.Provider.appendModels: From 4096 models on only the provider itself registers more"
            }
            PricePlans.registerModels(provider: self.id, names: names)
        }

        /// @return the plan's id
        ///
        access(Operate) fun publishPlan(
            terms: PricePlans.Terms, tiers: [PricePlans.Tier], rates: [PricePlans.Rate]
        ): UInt64 {
            return PricePlans.publish(provider: self.id, terms: terms, tiers: tiers, rates: rates)
        }

        /// Offers a plan no longer: no vault opens with it or takes it on. Those on it keep it.
        ///
        access(Operate) fun retirePlan(_ plan: UInt64) {
            PricePlans.retire(provider: self.id, plan: plan)
        }

        /// Keeps an account number for the one address that may open it
        ///
        access(Operate) fun reserve(number: UInt64, holder: Address) {
            SubscriptionVaults.desk(self.id).reserve(number: number, holder: holder)
        }

        /// Names the key that signs usage. The one before it is revoked at once.
        ///
        /// @param meter 40 hex digits, with or without 0x
        ///
        access(SetMeter) fun setMeter(_ meter: String) {
            UsageBatches.setMeter(provider: self.id, meter: meter)
        }

        /// Lowers the total of a billing period. What was charged for the difference is owed no
        /// more; what of it was paid goes from earnings back to the balance.
        ///
        /// @param billable 1e-4 tokens; 0 if nothing was applied of the period, or nothing was used in
        /// it after all: then minimum and fee are not due either
        /// @param afterSeq batches of the current meter up to it change the period no more; at most
        /// 16 above the highest accepted
        /// @param reason for the customer
        ///
        access(Correct) fun correct(
            account: UInt64, periodStart: UInt32, billable: UInt128, afterSeq: UInt64,
            reason: String
        ) {
            pre {
                reason.length > 0 && reason.length <= 256:
                    "SubscriptionVaults.Provider.correct: A reason has 1 to 256 characters"
            }
            SubscriptionVaults.desk(self.id).correct(
                account,
                periodStart: periodStart,
                billable: billable,
                afterSeq: afterSeq,
                reason: reason
            )
        }

        /// Gives tokens to a vault
        ///
        /// @param reason for the customer
        ///
        access(Correct) fun credit(
            account: UInt64, from: @{FungibleToken.Vault}, reason: String
        ) {
            pre {
                reason.length > 0 && reason.length <= 256:
                    "SubscriptionVaults.Provider.credit: A reason has 1 to 256 characters"
            }
            let amount = from.balance
            SubscriptionVaults.deposit(provider: self.id, account: account, from: <-from)
            SubscriptionVaults.desk(self.id).credited(account, amount, reason: reason)
        }

        /// Says which charge of one entry is too great to be applied unseen: it is held, and nothing
        /// of it is stored
        ///
        /// @param limit wad; nil: none is
        ///
        access(Approve) fun setMaxChargePerEntry(_ limit: UInt128?) {
            SubscriptionVaults.desk(self.id).setMaxCharge(limit)
        }

        /// Lets entries be applied that charge a period up to a sum, however much at once
        ///
        /// @param chargedUpTo wad, of the whole period
        ///
        access(Approve) fun approve(account: UInt64, periodStart: UInt32, chargedUpTo: UInt128) {
            SubscriptionVaults.desk(self.id).approve(
                account, periodStart: periodStart, chargedUpTo: chargedUpTo
            )
        }

        /// Gives a customer notice. When it is over, anybody may end the vault: what is owed is paid
        /// within the customer's limits, and what is left goes to the refund receiver.
        ///
        access(Close) fun close(account: UInt64) {
            SubscriptionVaults.desk(self.id).beginEnding(account, status: 2)
        }

        /// Takes earnings out
        ///
        access(Collect) fun collect(
            token: Type, currency: String, amount: UFix64
        ): @{FungibleToken.Vault} {
            SubscriptionVaults.desk(self.id).collect(
                token: token, currency: currency, amount: amount
            )
            return <-SubscriptionVaults.takeFromPool(token: token, amount: amount)
        }
    }

    /// Governor
    ///
    /// The contract account's say over tokens.
    ///
    access(all) resource Governor {

        /// Lets vaults be opened in a token
        ///
        /// @param pool an empty vault of it
        /// @param storageDeposit see `setStorageDeposit`
        ///
        access(Govern) fun allowToken(pool: @{FungibleToken.Vault}, storageDeposit: UFix64) {
            let token = pool.getType()
            SubscriptionVaults.addPool(<-pool)
            SubscriptionVaults.setStorageDeposit(token: token, amount: storageDeposit)
        }

        /// Says what opening a vault takes for its storage. It comes back when the vault is closed.
        ///
        access(Govern) fun setStorageDeposit(token: Type, amount: UFix64) {
            SubscriptionVaults.setStorageDeposit(token: token, amount: amount)
        }

        /// Says what becoming a provider costs
        ///
        access(Govern) fun setProviderFee(_ amount: UFix64) {
            SubscriptionVaults.setProviderFee(amount)
        }
    }

    /// Makes the caller a provider of a new number
    ///
    /// @param fee goes to the contract's account, where FLOW is room for storage
    ///
    access(all) fun createProvider(fee: @FlowToken.Vault): @Provider {
        pre {
            self.units(fee.balance) == self.providerFee:
                "SubscriptionVaults.createProvider: It costs \(self.providerFeeInFlow()) FLOW, not \(fee.balance)"
        }
        (self.account.storage.borrow<&FlowToken.Vault>(from: /storage/flowTokenVault)!)
            .deposit(from: <-fee)
        let id = UInt64(self.desks.length) + 1
        self.desks[id] <-! create Desk(provider: id)
        emit ProviderCreated(provider: id)
        return <-create Provider(id: id)
    }

    /// Gives the caller what opening vaults needs
    ///
    access(all) fun createCustomer(): @Customer {
        return <-create Customer()
    }

    /// Settles a run of a chunk's entries. Anybody may: the proof is checked, not the sender.
    ///
    /// @param leavesBefore, leavesAfter the chunk's other leaves, in order
    /// @param entries each its bytes as one integer
    /// @param path from the chunk up to the root of batch `seq`
    ///
    access(all) fun settle(
        provider: UInt64, seq: UInt64,
        leavesBefore: [UInt256], entries: [UInt], leavesAfter: [UInt256], path: [UInt256]
    ) {
        pre {
            UsageBatches.isRun(
                provider: provider, seq: seq, leavesBefore: leavesBefore,
                entries: entries, leavesAfter: leavesAfter, path: path
            ):
                "SubscriptionVaults.settle: Entries, leaves and path miss the root of batch \(seq) of provider \(provider)"
        }
        self.desk(provider).settle(
            entries,
            seq: seq,
            meterEpoch: UsageBatches.borrowStream(provider: provider)!.meterEpoch
        )
    }

    /// Pays what a vault owes, within balance and limits. Anybody may ask for it.
    ///
    access(all) fun payOwed(provider: UInt64, account: UInt64) {
        self.desk(provider).payOwed(account)
    }

    /// Closes a vault whose customer or provider gave notice, when that is over. Anybody may.
    ///
    access(all) fun end(provider: UInt64, account: UInt64) {
        self.desk(provider).end(account)
    }

    /// Pays what is left in a closed vault to its refund receiver. Anybody may ask for it.
    ///
    /// The numbers are right before the receiver gets a say. Where it takes nothing, its customer
    /// can name another, or take what is left.
    ///
    access(all) fun refund(provider: UInt64, account: UInt64) {
        let desk = self.desk(provider)
        let agreement = desk.borrowAgreement(account)
            ?? panic("SubscriptionVaults.refund: Provider \(provider) has no vault \(account)")
        let receiver = agreement.refund.borrow()
            ?? panic("SubscriptionVaults.refund: The refund receiver of vault \(account) is not there")
        let token = desk.books[desk.borrowVault(account)!.bookIndex()].token
        let amount = desk.takeRest(account, to: agreement.refund.address)
        receiver.deposit(from: <-self.takeFromPool(token: token, amount: amount))
    }

    /// Gives up the records of a vault that are too old to change, and so the storage that they
    /// take. Anybody may.
    ///
    access(all) fun prune(provider: UInt64, account: UInt64) {
        self.desk(provider).prune(account)
    }

    /// Puts tokens into anybody's vault
    ///
    access(all) fun deposit(provider: UInt64, account: UInt64, from: @{FungibleToken.Vault}) {
        let desk = self.desk(provider)
        let vault = desk.borrowVault(account)
            ?? panic("SubscriptionVaults.deposit: Provider \(provider) has no vault \(account)")
        let token = desk.books[vault.bookIndex()].token
        assert(
            from.getType() == token,
            message: "SubscriptionVaults.deposit: The vault takes \(token.identifier), not \(from.getType().identifier)"
        )
        assert(vault.isOpen(), message: "SubscriptionVaults.deposit: Vault \(account) is closed")
        desk.deposited(account, from.balance)
        self.putIntoPool(<-from)
    }

    /// Where a customer keeps the subscription of a vault
    ///
    access(all) view fun subscriptionPath(provider: UInt64, number: UInt64): StoragePath {
        return StoragePath(
            identifier: "FlowmeterSubscription_\(self.account.address)_\(provider)_\(number)"
        )!
    }

    /// nil: the provider has no such account
    ///
    access(all) view fun borrowVault(provider: UInt64, account: UInt64): &Vault? {
        return self.borrowDesk(provider: provider)?.borrowVault(account) ?? nil
    }

    /// nil: there is no such provider
    ///
    access(all) view fun borrowDesk(provider: UInt64): &Desk? {
        return &self.desks[provider]
    }

    /// A page of a provider's account numbers, in the order of their opening
    ///
    access(all) view fun numbers(provider: UInt64, from: Int, limit: Int): [UInt64] {
        if let desk = self.borrowDesk(provider: provider) {
            let end = from + limit < desk.numbers.length ? from + limit : desk.numbers.length
            return from < end ? desk.numbers.slice(from: from, upTo: end) : []
        }
        return []
    }

    /// How many providers there are; they have the numbers from 1 on
    ///
    access(all) view fun providerCount(): UInt64 {
        return UInt64(self.desks.length)
    }

    /// What becoming a provider costs
    ///
    access(all) view fun providerFeeInFlow(): UFix64 {
        return self.tokens(self.providerFee)
    }

    /// The tokens that vaults can be opened in
    ///
    access(all) view fun tokenTypes(): [Type] {
        return self.pools.keys
    }

    /// What opening a vault takes for its storage; nil: the token is not allowed
    ///
    access(all) view fun storageDeposit(token: Type): UFix64? {
        return self.pools[token] == nil ? nil : self.tokens(self.storageDeposits[token] ?? 0)
    }

    /// What lies in a token's pool
    ///
    access(all) view fun poolBalance(token: Type): UFix64 {
        return self.pools[token]?.balance ?? 0.0
    }

    /// What all books of all providers say of a token: balances, earnings and storage deposits. The
    /// pool holds that much.
    ///
    access(all) view fun accountedFor(token: Type): UFix64 {
        return self.tokens(self.accounted[token] ?? 0)
    }

    /// Tokens of a count of units (1e-8): the same bits
    ///
    access(all) view fun tokens(_ units: UInt64): UFix64 {
        return UFix64.fromBigEndianBytes(units.toBigEndianBytes())!
    }

    /// Units (1e-8) of an amount of tokens: the same bits
    ///
    access(all) view fun units(_ tokens: UFix64): UInt64 {
        return UInt64.fromBigEndianBytes(tokens.toBigEndianBytes())!
    }

    /// Block time and the starts of the periods that it is in, for a run of settlements. From the
    /// lowest bit: now u64, then the start of the day, the week and the month, u32 each.
    ///
    access(contract) view fun clock(): UInt {
        let now = UInt64(getCurrentBlock().timestamp)
        return UInt(now) | UInt(PricePlans.periodStart(0, at: now)) << 64
            | UInt(PricePlans.periodStart(1, at: now)) << 96
            | UInt(PricePlans.periodStart(2, at: now)) << 128
    }

    access(contract) view fun desk(_ provider: UInt64): &Desk {
        return self.borrowDesk(provider: provider)
            ?? panic("SubscriptionVaults.desk: There is no provider \(provider)")
    }

    access(contract) fun came(_ units: UInt64, of token: Type) {
        self.accounted[token] = (self.accounted[token] ?? 0) + units
    }

    access(contract) fun went(_ units: UInt64, of token: Type) {
        self.accounted[token] = (self.accounted[token] ?? 0) - units
    }

    access(contract) fun takeFromPool(token: Type, amount: UFix64): @{FungibleToken.Vault} {
        post {
            result.balance == amount:
                "SubscriptionVaults.takeFromPool: \(amount) were taken, and \(result.balance) given"
        }
        let pool = (&self.pools[token] as auth(FungibleToken.Withdraw) &{FungibleToken.Vault}?)!
        return <-pool.withdraw(amount: amount)
    }

    /// A token that keeps a part of what is moved could leave the pool short, so it is refused.
    ///
    access(contract) fun putIntoPool(_ from: @{FungibleToken.Vault}) {
        let pool = (&self.pools[from.getType()] as &{FungibleToken.Vault}?)!
        let expected = pool.balance + from.balance
        pool.deposit(from: <-from)
        assert(
            pool.balance == expected,
            message: "SubscriptionVaults.putIntoPool: The pool has \(pool.balance), and should have \(expected)"
        )
    }

    access(contract) view fun checkReceiver(
        _ receiver: Capability<&{FungibleToken.Receiver}>, of token: Type
    ) {
        let borrowed = receiver.borrow()
            ?? panic("SubscriptionVaults.checkReceiver: The refund receiver is not there")
        assert(
            borrowed.isSupportedVaultType(type: token),
            message: "SubscriptionVaults.checkReceiver: The refund receiver takes no \(token.identifier)"
        )
    }

    access(contract) fun setStorageDeposit(token: Type, amount: UFix64) {
        pre {
            self.pools[token] != nil:
                "SubscriptionVaults.setStorageDeposit: \(token.identifier) is not allowed"
            amount > 0.0:
                "SubscriptionVaults.setStorageDeposit: Without one a stranger could fill the storage"
        }
        self.storageDeposits[token] = self.units(amount)
        emit StorageDepositSet(token: token.identifier, amount: amount)
    }

    access(contract) fun setProviderFee(_ amount: UFix64) {
        pre {
            amount > 0.0:
                "SubscriptionVaults.setProviderFee: Without one a stranger could fill the storage"
        }
        self.providerFee = self.units(amount)
        emit ProviderFeeSet(amount: amount)
    }

    access(contract) fun addPool(_ pool: @{FungibleToken.Vault}) {
        pre {
            pool.balance == 0.0: "SubscriptionVaults.addPool: The pool is not empty"
            self.pools[pool.getType()] == nil:
                "SubscriptionVaults.addPool: \(pool.getType().identifier) is allowed already"
        }
        let token = pool.getType()
        self.pools[token] <-! pool
        emit TokenAllowed(token: token.identifier)
    }

    init() {
        let address = self.account.address
        self.GovernorPath = StoragePath(identifier: "SubscriptionVaultsGovernor_\(address)")!
        self.ProviderPath = StoragePath(identifier: "FlowmeterProvider_\(address)")!
        self.CustomerPath = StoragePath(identifier: "FlowmeterCustomer_\(address)")!
        self.recordsKept = 400 * 86400
        self.pools <- {}
        self.storageDeposits = {}
        self.accounted = {}
        // Many times what a provider's storage costs, as with vaults.
        self.providerFee = 1_000_000
        self.desks <- {}
        self.extensions = {}
        self.addPool(<-FlowToken.createEmptyVault(vaultType: Type<@FlowToken.Vault>()))
        // Many times what a vault's storage costs, so that filling it costs a stranger more.
        self.setStorageDeposit(token: Type<@FlowToken.Vault>(), amount: 0.01)
        self.account.storage.save(<-create Governor(), to: self.GovernorPath)
    }
}
