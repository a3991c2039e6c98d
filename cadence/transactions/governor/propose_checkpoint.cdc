import "FlareLightClient"

/// Proposes a signing policy to start from anew. It can be adopted after the checkpoint delay.
///
/// @param policy its bytes, as hex
///
transaction(policy: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let governor = signer.storage
            .borrow<auth(FlareLightClient.Govern) &FlareLightClient.Governor>(
                from: FlareLightClient.GovernorPath
            ) ?? panic("propose_checkpoint: The signer holds no FlareLightClient.Governor")
        governor.proposeCheckpoint(policy)
    }
}
