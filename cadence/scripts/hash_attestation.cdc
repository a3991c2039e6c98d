import "FlareLightClient"
import "UsageBatches"

/// The leaf of FDC's answer about an anchored header of `meter`, as acceptBatch builds it.
///
/// @param meter address on Flare, 40 hex digits
///
access(all) fun main(
    meter: String,
    seq: UInt64, root: UInt256, prevRoot: UInt256, sealedAt: UInt64, manifest: UInt256,
    round: UInt32, lowestUsedTimestamp: UInt64, transactionHash: UInt256,
    requiredConfirmations: UInt16, logIndex: UInt32, blockNumber: UInt64, timestamp: UInt64,
    sourceAddress: UInt256, isDeployment: Bool, receivingAddress: UInt256, value: UInt256,
    hasInputByte: Bool
): UInt256 {
    return UsageBatches.attestationLeaf(
        meter: FlareLightClient.numberFromHex(meter, length: 20),
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
        )
    )
}
