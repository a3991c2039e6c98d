import "FungibleToken"
import "SubscriptionVaults"

/// Takes what is left in a closed vault, where its refund receiver does not.
///
/// @param storage name of the signer's vault of the token, as flowTokenVault
///
transaction(provider: UInt64, number: UInt64, storage: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let path = SubscriptionVaults.subscriptionPath(provider: provider, number: number)
        let subscription = signer.storage
            .borrow<auth(SubscriptionVaults.Manage) &SubscriptionVaults.Subscription>(from: path)
            ?? panic("take_refund: The signer holds no subscription \(number) of provider \(provider)")
        let receiver = signer.storage
            .borrow<&{FungibleToken.Receiver}>(from: StoragePath(identifier: storage)!)
            ?? panic("take_refund: The signer has no token vault at \(storage)")
        receiver.deposit(from: <-subscription.takeRefund())
    }
}
