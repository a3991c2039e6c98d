import "FlareLightClient"

/// Installs Flare's next signing policy. Anybody may: its predecessor's voters have signed it.
///
/// @param policy its bytes, as hex without 0x
/// @param signers positions in the last policy, ascending
/// @param publicKeys, signatures of each signer: x and y, r and s, as 128 hex digits
///
transaction(policy: String, signers: [UInt16], publicKeys: [String], signatures: [String]) {
    prepare(signer: &Account) {}

    execute {
        FlareLightClient.submitPolicy(
            policy,
            signers: signers,
            publicKeys: publicKeys,
            signatures: signatures
        )
    }
}
