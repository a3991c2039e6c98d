import "FlareLightClient"

access(all) struct Epoch {
    access(all) let epoch: UInt32
    access(all) let startRound: UInt32
    access(all) let threshold: UInt16
    access(all) let voters: Int
    /// Its rounds that have two roots
    access(all) let poisonedRounds: [UInt32]

    view init(_ policy: &FlareLightClient.Policy) {
        self.epoch = policy.epoch
        self.startRound = policy.startRound
        self.threshold = policy.threshold
        self.voters = policy.voters.length
        self.poisonedRounds = policy.poisonedRounds()
    }
}

access(all) struct Checkpoint {
    access(all) let epoch: UInt32
    access(all) let hash: UInt256
    /// Unix seconds
    access(all) let adoptableAt: UFix64

    view init(_ checkpoint: FlareLightClient.Checkpoint) {
        self.epoch = checkpoint.policy.epoch
        self.hash = checkpoint.policy.hash
        self.adoptableAt = checkpoint.adoptableAt
    }
}

access(all) struct LightClient {
    access(all) let chainId: UInt64
    access(all) let firstEpochStartRound: UInt32
    access(all) let roundsPerEpoch: UInt32
    access(all) let epochsKept: UInt32
    access(all) let boundMessageFromRound: UInt32
    access(all) let boundPolicyFromEpoch: UInt32
    /// Rounds below are refused
    access(all) let lowestRound: UInt32
    access(all) let lastEpoch: UInt32
    /// The policies held, lowest epoch first
    access(all) let epochs: [Epoch]
    /// Proposed by governance; nil: none is
    access(all) let checkpoint: Checkpoint?

    init() {
        self.chainId = FlareLightClient.chainId
        self.firstEpochStartRound = FlareLightClient.firstEpochStartRound
        self.roundsPerEpoch = FlareLightClient.roundsPerEpoch
        self.epochsKept = FlareLightClient.epochsKept
        self.boundMessageFromRound = FlareLightClient.boundMessageFromRound
        self.boundPolicyFromEpoch = FlareLightClient.boundPolicyFromEpoch
        self.lowestRound = FlareLightClient.lowestRound()
        self.lastEpoch = FlareLightClient.lastEpoch
        let proposal = FlareLightClient.proposal()
        self.checkpoint = proposal == nil ? nil : Checkpoint(proposal!)
        self.epochs = []
        var epoch = FlareLightClient.firstEpoch
        while epoch <= FlareLightClient.lastEpoch {
            self.epochs.append(Epoch(FlareLightClient.borrowPolicy(epoch: epoch)!))
            epoch = epoch + 1
        }
    }
}

/// What the light client knows of Flare: its signing policies and the rules it was deployed with.
///
access(all) fun main(): LightClient {
    return LightClient()
}
