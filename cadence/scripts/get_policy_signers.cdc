import "FlareLightClient"

access(all) struct Signers {
    access(all) let threshold: UInt16
    /// address << 16 | weight, in the policy's order
    access(all) let voters: [UInt256]

    view init(_ policy: &FlareLightClient.Policy) {
        self.threshold = policy.threshold
        self.voters = *policy.voters
    }
}

/// Who signs for a reward epoch, and what their weight has to exceed; nil: its policy is not held.
///
access(all) fun main(epoch: UInt32): Signers? {
    if let policy = FlareLightClient.borrowPolicy(epoch: epoch) {
        return Signers(policy)
    }
    return nil
}
