/// Deploys FlareLightClient.
///
/// @param code the source, with its imports already turned into addresses
/// @param chainId Flare's: 114 for Coston2, 14 for mainnet
/// @param checkpoint the bytes of a signing policy that is trusted, as hex
/// @param firstEpochStartRound nominal start of reward epoch 0
/// @param roundsPerEpoch voting rounds of a reward epoch
/// @param epochsKept how many signing policies are kept, with the roots of their rounds
/// @param checkpointDelay seconds that a new checkpoint waits in public
/// @param boundMessageFromRound first round whose message is bound to the chain id; nil: all are
/// @param boundPolicyFromEpoch first epoch whose policy is bound to the chain id; nil: all are
///
transaction(
    code: String, chainId: UInt64, checkpoint: String,
    firstEpochStartRound: UInt32, roundsPerEpoch: UInt32, epochsKept: UInt32,
    checkpointDelay: UFix64, boundMessageFromRound: UInt32?, boundPolicyFromEpoch: UInt32?
) {
    prepare(signer: auth(AddContract) &Account) {
        signer.contracts.add(
            name: "FlareLightClient",
            code: code.utf8,
            chainId: chainId,
            checkpoint: checkpoint,
            firstEpochStartRound: firstEpochStartRound,
            roundsPerEpoch: roundsPerEpoch,
            epochsKept: epochsKept,
            checkpointDelay: checkpointDelay,
            boundMessageFromRound: boundMessageFromRound,
            boundPolicyFromEpoch: boundPolicyFromEpoch
        )
    }
}
