import "FlareLightClient"

/// What voters sign for a round's root before the Ethereum prefix: bound to a chain id or, without
/// one, the older way.
///
access(all) fun main(round: UInt32, merkleRoot: UInt256, chainId: UInt64?): UInt256 {
    return FlareLightClient.messageHash(round: round, root: merkleRoot, chainId: chainId)
}
