import "FungibleToken"
import "FlowToken"

/// Makes an account with one key of full weight (P-256, SHA3-256) and gives it FLOW. The signer's
/// storage remembers it, so that run again it makes no second one for that key.
///
/// @param publicKey x ‖ y in hex
///
transaction(publicKey: String, amount: UFix64) {
    prepare(signer: auth(BorrowValue, SaveValue) &Account) {
        let path = StoragePath(identifier: "flowmeterAccount_\(publicKey)")!
        assert(
            signer.storage.type(at: path) == nil,
            message: "create_account: There is an account of this key already"
        )
        let flow = signer.storage
            .borrow<auth(FungibleToken.Withdraw) &FlowToken.Vault>(from: /storage/flowTokenVault)
            ?? panic("create_account: The signer has no FLOW vault")

        let account = Account(payer: signer)
        account.keys.add(
            publicKey: PublicKey(
                publicKey: publicKey.decodeHex(),
                signatureAlgorithm: SignatureAlgorithm.ECDSA_P256
            ),
            hashAlgorithm: HashAlgorithm.SHA3_256,
            weight: 1000.0
        )
        let receiver = account.capabilities
            .borrow<&{FungibleToken.Receiver}>(/public/flowTokenReceiver)
            ?? panic("create_account: The new account takes no FLOW")
        receiver.deposit(from: <-flow.withdraw(amount: amount))
        signer.storage.save(account.address, to: path)
    }
}
