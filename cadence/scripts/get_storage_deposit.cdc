import "SubscriptionVaults"

/// What opening a vault takes for its storage, in tokens; nil: the token is not allowed.
///
/// @param token identifier of its vault's type
///
access(all) fun main(token: String): UFix64? {
    let type = CompositeType(token) ?? panic("get_storage_deposit: There is no type \(token)")
    return SubscriptionVaults.storageDeposit(token: type)
}
