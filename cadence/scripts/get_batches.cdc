import "UsageBatches"

/// The roots held of these batches of the provider's current meter, one each; nil: not held.
///
access(all) fun main(provider: UInt64, seqs: [UInt64]): [UInt256?] {
    let roots: [UInt256?] = []
    for seq in seqs {
        roots.append(UsageBatches.rootOf(provider: provider, seq: seq))
    }
    return roots
}
