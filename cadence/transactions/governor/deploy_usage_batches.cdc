/// Deploys UsageBatches.
///
/// @param code the source, with its imports already turned into addresses
/// @param network Flow's: emulator, testnet or mainnet
/// @param anchor address of UsageAnchor on Flare, 40 hex digits, 0x or not
/// @param sourceId FDC's name of the Flare network, as 32 bytes in hex
/// @param meterDelay seconds until a provider's next meter is active; the first one is at once
///
transaction(code: String, network: String, anchor: String, sourceId: String, meterDelay: UFix64) {
    prepare(signer: auth(AddContract) &Account) {
        signer.contracts.add(
            name: "UsageBatches",
            code: code.utf8,
            network: network,
            anchor: anchor,
            sourceId: sourceId,
            meterDelay: meterDelay
        )
    }
}
