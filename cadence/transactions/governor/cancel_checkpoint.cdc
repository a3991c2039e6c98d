import "FlareLightClient"

/// Takes the proposed checkpoint back.
///
transaction() {
    prepare(signer: auth(BorrowValue) &Account) {
        let governor = signer.storage
            .borrow<auth(FlareLightClient.Govern) &FlareLightClient.Governor>(
                from: FlareLightClient.GovernorPath
            ) ?? panic("cancel_checkpoint: The signer holds no FlareLightClient.Governor")
        governor.cancelCheckpoint()
    }
}
