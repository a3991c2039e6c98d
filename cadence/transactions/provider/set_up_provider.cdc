import "FungibleToken"
import "FlowToken"
import "SubscriptionVaults"

/// Makes the signer a provider, once, for the fee that the contract asks. The number is in the event
/// ProviderCreated.
///
transaction() {
    prepare(signer: auth(BorrowValue, SaveValue) &Account) {
        assert(
            signer.storage.type(at: SubscriptionVaults.ProviderPath) == nil,
            message: "set_up_provider: The signer is a provider already"
        )
        let flow = signer.storage
            .borrow<auth(FungibleToken.Withdraw) &FlowToken.Vault>(from: /storage/flowTokenVault)
            ?? panic("set_up_provider: The signer has no FLOW vault")
        let fee <- flow.withdraw(amount: SubscriptionVaults.providerFeeInFlow()) as! @FlowToken.Vault
        signer.storage.save(
            <-SubscriptionVaults.createProvider(fee: <-fee),
            to: SubscriptionVaults.ProviderPath
        )
    }
}
