import "FlareLightClient"

/// Brings the Merkle root of a voting round. A second one for the same round poisons the round.
///
/// @param signers positions in the signing policy that serves the round, ascending
/// @param publicKeys, signatures of each signer: x and y, r and s, as 128 hex digits
///
transaction(
    round: UInt32, merkleRoot: UInt256,
    signers: [UInt16], publicKeys: [String], signatures: [String]
) {
    prepare(signer: &Account) {}

    execute {
        FlareLightClient.submitRoot(
            round: round,
            root: merkleRoot,
            signers: signers,
            publicKeys: publicKeys,
            signatures: signatures
        )
    }
}
