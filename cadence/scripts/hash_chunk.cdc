import "UsageBatches"

/// The hash of a chunk of these leaves.
///
access(all) fun main(leaves: [UInt256]): UInt256 {
    return UsageBatches.chunkOf(leaves)
}
