import "FungibleToken"
import "SubscriptionVaults"

/// Names who gets what is left when the vault is closed.
///
/// @param receiver, path an account and the name of its public receiver: flowTokenReceiver
///
transaction(provider: UInt64, number: UInt64, receiver: Address, path: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let held = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: held)
            ?? panic("set_refund_receiver: The signer holds no subscription \(number) of provider \(provider)")
        subscription.setRefundReceiver(
            getAccount(receiver).capabilities
                .get<&{FungibleToken.Receiver}>(PublicPath(identifier: path)!)
        )
    }
}
