import "FlareLightClient"

access(all) struct Round {
    /// nil: none was brought. A poisoned round keeps the one that came first.
    access(all) let merkleRoot: UInt256?
    access(all) let isPoisoned: Bool
    /// The epoch whose signing policy serves it; nil: none that is held does
    access(all) let epoch: UInt32?

    view init(_ round: UInt32) {
        self.merkleRoot = FlareLightClient.rootOf(round: round)
        self.isPoisoned = FlareLightClient.isPoisoned(round: round)
        self.epoch = FlareLightClient.epochServing(round: round)
    }
}

/// Whether the Merkle root of a voting round is on Flow, and who may sign it.
///
access(all) fun main(round: UInt32): Round {
    return Round(round)
}
