import "UsageBatches"

access(all) struct Stream {
    access(all) let provider: UInt64
    /// 40 lower-case hex digits
    access(all) let meter: String
    /// 1 for the provider's first meter
    access(all) let meterEpoch: UInt32
    /// Unix seconds from which its batches are taken
    access(all) let activeFrom: UFix64
    /// Whether that is so in this block
    access(all) let isActive: Bool
    /// 0: none yet
    access(all) let highestSeq: UInt64
    /// Batches up to it are neither held nor taken any more
    access(all) let base: UInt64

    view init(_ stream: &UsageBatches.Stream) {
        self.provider = stream.provider
        self.meter = stream.meterHex()
        self.meterEpoch = stream.meterEpoch
        self.activeFrom = stream.activeFrom
        self.isActive = getCurrentBlock().timestamp >= stream.activeFrom
        self.highestSeq = stream.highestSeq
        self.base = stream.base()
    }
}

/// The stream of a provider's current meter; nil: the provider has set none.
///
access(all) fun main(provider: UInt64): Stream? {
    if let stream = UsageBatches.borrowStream(provider: provider) {
        return Stream(stream)
    }
    return nil
}
