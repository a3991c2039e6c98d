import "FlareLightClient"

/// The hash of a signing policy's bytes (hex), bound to a chain id or, without one, the older way.
///
access(all) fun main(policy: String, chainId: UInt64?): UInt256 {
    return FlareLightClient.policyHash(policy, chainId: chainId)
}
