import "SubscriptionVaults"

access(all) struct Page {
    /// How many providers there are
    access(all) let providers: UInt64
    /// By token: balances, earnings and storage deposits of the page's providers
    access(all) let accounted: {String: UFix64}

    init(providers: UInt64, accounted: {String: UFix64}) {
        self.providers = providers
        self.accounted = accounted
    }
}

/// A page of all providers' books. Over all pages the sums of a token are what `get_conservation`
/// calls accounted.
///
/// @param from the first provider, at least 1
/// @param limit how many providers
///
access(all) fun main(from: UInt64, limit: UInt64): Page {
    let providers = SubscriptionVaults.providerCount()
    let accounted: {String: UFix64} = {}
    var provider = from
    while provider < from + limit && provider <= providers {
        for book in SubscriptionVaults.borrowDesk(provider: provider)!.books {
            let token = book.token.identifier
            accounted[token] = (accounted[token] ?? 0.0)
                + SubscriptionVaults.tokens(book.balances + book.earnings + book.storageDeposits)
        }
        provider = provider + 1
    }
    return Page(providers: providers, accounted: accounted)
}
