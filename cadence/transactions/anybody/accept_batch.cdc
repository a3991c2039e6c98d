import "FlareLightClient"
import "UsageBatches"

/// Brings the Merkle root of a voting round, unless it is there, and accepts the batch that FDC
/// attested in that round.
///
/// @param round, merkleRoot, signers, publicKeys, signatures as in submit_root
/// @param proof from the attestation up to the round's root
/// @param seq, root, prevRoot, sealedAt, manifest the batch's header, as anchored
/// @param lowestUsedTimestamp, and all that follow: words of the attestation
/// @param logIndex of the anchor's event, in its block
/// @param sourceAddress, receivingAddress 20 bytes as a number
/// @param hasInputByte the input is one zero byte (as verifiers answer now), or empty
///
transaction(
    provider: UInt64,
    round: UInt32, merkleRoot: UInt256,
    signers: [UInt16], publicKeys: [String], signatures: [String],
    proof: [UInt256],
    seq: UInt64, root: UInt256, prevRoot: UInt256, sealedAt: UInt64, manifest: UInt256,
    lowestUsedTimestamp: UInt64, transactionHash: UInt256, requiredConfirmations: UInt16,
    logIndex: UInt32, blockNumber: UInt64, timestamp: UInt64, sourceAddress: UInt256,
    isDeployment: Bool, receivingAddress: UInt256, value: UInt256, hasInputByte: Bool
) {
    prepare(signer: &Account) {}

    execute {
        if FlareLightClient.rootOf(round: round) == nil {
            FlareLightClient.submitRoot(
                round: round,
                root: merkleRoot,
                signers: signers,
                publicKeys: publicKeys,
                signatures: signatures
            )
        }
        UsageBatches.acceptBatch(
            provider: provider,
            header: UsageBatches.Header(
                seq: seq,
                root: root,
                prevRoot: prevRoot,
                sealedAt: sealedAt,
                manifest: manifest
            ),
            attestation: UsageBatches.Attestation(
                round: round,
                lowestUsedTimestamp: lowestUsedTimestamp,
                transactionHash: transactionHash,
                requiredConfirmations: requiredConfirmations,
                logIndex: logIndex,
                blockNumber: blockNumber,
                timestamp: timestamp,
                sourceAddress: sourceAddress,
                isDeployment: isDeployment,
                receivingAddress: receivingAddress,
                value: value,
                hasInputByte: hasInputByte
            ),
            proof: proof
        )
    }
}
