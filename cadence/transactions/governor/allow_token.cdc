import "FungibleToken"
import "SubscriptionVaults"

/// Lets vaults be opened in a token. FLOW is allowed from the start.
///
/// @param address, name the token's contract
/// @param storageDeposit tokens that opening a vault takes for its storage; they come back at the end
///
transaction(address: Address, name: String, storageDeposit: UFix64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let governor = signer.storage
            .borrow<auth(SubscriptionVaults.Govern) &SubscriptionVaults.Governor>(
                from: SubscriptionVaults.GovernorPath
            ) ?? panic("allow_token: The signer holds no SubscriptionVaults.Governor")
        let token = getAccount(address).contracts.borrow<&{FungibleToken}>(name: name)
            ?? panic("allow_token: \(name) of \(address) is no token")
        let hex = address.toString().slice(from: 2, upTo: 18)
        let type = CompositeType("A.\(hex).\(name).Vault")
            ?? panic("allow_token: \(name) of \(address) has no Vault")
        governor.allowToken(
            pool: <-token.createEmptyVault(vaultType: type),
            storageDeposit: storageDeposit
        )
    }
}
