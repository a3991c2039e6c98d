import "FlareLightClient"

/// Starts the light client anew from the proposed checkpoint, once its delay is over.
///
transaction() {
    prepare(signer: &Account) {}

    execute {
        FlareLightClient.adoptCheckpoint()
    }
}
