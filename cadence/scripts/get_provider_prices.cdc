import "SubscriptionVaults"
import "TokenPrices"

access(all) struct PriceView {
    access(all) let token: String
    access(all) let currency: String
    /// nil: there is no feed
    access(all) let feed: FeedView?

    view init(token: String, currency: String, feed: FeedView?) {
        self.token = token
        self.currency = currency
        self.feed = feed
    }
}

/// As in get_token_price
access(all) struct FeedView {
    access(all) let price: UInt128
    access(all) let updatedAt: UFix64
    access(all) let source: String
    access(all) let minimum: UInt128
    access(all) let maximum: UInt128
    access(all) let maxAge: UFix64
    access(all) let isInBounds: Bool
    access(all) let isFresh: Bool
    access(all) let current: UInt128?
    access(all) let lastGood: UInt128?

    view init(_ feed: TokenPrices.Feed, current: UInt128?, lastGood: UInt128?) {
        self.price = feed.price
        self.updatedAt = feed.updatedAt
        self.source = feed.source
        self.minimum = feed.minimum
        self.maximum = feed.maximum
        self.maxAge = feed.maxAge
        self.isInBounds = feed.isInBounds()
        self.isFresh = feed.isFresh()
        self.current = current
        self.lastGood = lastGood
    }
}

/// The price of every token and currency that a provider has, or had, vaults in: without one, their
/// payments wait.
///
access(all) fun main(provider: UInt64): [PriceView] {
    let prices: [PriceView] = []
    if let desk = SubscriptionVaults.borrowDesk(provider: provider) {
        for book in desk.books {
            let token = book.token
            let currency = book.currency
            var found: FeedView? = nil
            if let feed = TokenPrices.feed(token: token, currency: currency) {
                found = FeedView(
                    feed,
                    current: TokenPrices.current(token: token, currency: currency),
                    lastGood: TokenPrices.lastGood(token: token, currency: currency)
                )
            }
            prices.append(PriceView(token: token.identifier, currency: currency, feed: found))
        }
    }
    return prices
}
