import "FlareLightClient"
import "SubscriptionVaults"
import "TokenPrices"
import "UsageBatches"

access(all) struct Key {
    access(all) let index: Int
    /// Keys of 1000.0 together may sign for the account
    access(all) let weight: UFix64
    access(all) let isRevoked: Bool

    view init(_ key: AccountKey) {
        self.index = key.keyIndex
        self.weight = key.weight
        self.isRevoked = key.isRevoked
    }
}

access(all) struct TrustedKeys {
    /// Of the account that the contracts are on. They can change every contract.
    access(all) let keys: [Key]
    /// Whether that account holds the governor of checkpoints, of prices, and of allowed tokens.
    /// Where it does not, the governor was moved or destroyed.
    access(all) let holdsCheckpoints: Bool
    access(all) let holdsPrices: Bool
    access(all) let holdsTokens: Bool
    /// Seconds that a proposed checkpoint, and a provider's next meter, wait
    access(all) let checkpointDelay: UFix64
    access(all) let meterDelay: UFix64
    /// A checkpoint that is proposed: its epoch, and unix seconds; nil: none is
    access(all) let proposedEpoch: UInt32?
    access(all) let adoptableAt: UFix64?

    init(_ account: auth(Storage) &Account) {
        let keys: [Key] = []
        account.keys.forEach(fun (key: AccountKey): Bool {
            keys.append(Key(key))
            return true
        })
        self.keys = keys
        self.holdsCheckpoints = account.storage.type(at: FlareLightClient.GovernorPath) != nil
        self.holdsPrices = account.storage.type(at: TokenPrices.GovernorPath) != nil
        self.holdsTokens = account.storage.type(at: SubscriptionVaults.GovernorPath) != nil
        self.checkpointDelay = FlareLightClient.checkpointDelay
        self.meterDelay = UsageBatches.meterDelay
        let proposal = FlareLightClient.proposal()
        self.proposedEpoch = proposal?.policy?.epoch
        self.adoptableAt = proposal?.adoptableAt
    }
}

/// The keys that have to be trusted beside Flare's voters and the meter.
///
/// @param contracts the account that the contracts are on
///
access(all) fun main(contracts: Address): TrustedKeys {
    return TrustedKeys(getAuthAccount<auth(Storage) &Account>(contracts))
}
