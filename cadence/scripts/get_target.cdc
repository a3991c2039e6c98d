import "UsageBatches"

access(all) struct Target {
    /// "flow:<network>:<address>"
    access(all) let name: String
    access(all) let hash: UInt256
    /// UsageAnchor's address on Flare, 40 hex digits
    access(all) let anchor: String
    /// FDC's name of the Flare network
    access(all) let sourceId: UInt256

    view init() {
        self.name = UsageBatches.targetName
        self.hash = UsageBatches.target
        self.anchor = UsageBatches.anchorHex
        self.sourceId = UsageBatches.sourceId
    }
}

/// What a batch header and its anchoring must name for this deployment.
///
access(all) fun main(): Target {
    return Target()
}
