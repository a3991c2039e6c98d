import "TokenPrices"

access(all) struct FeedView {
    /// Wad for one whole token, as last set
    access(all) let price: UInt128
    /// Unix seconds
    access(all) let updatedAt: UFix64
    access(all) let minimum: UInt128
    access(all) let maximum: UInt128
    /// Seconds
    access(all) let maxAge: UFix64
    /// What payments use now; nil: stale or out of bounds, and payments wait
    access(all) let current: UInt128?

    view init(_ feed: TokenPrices.Feed, current: UInt128?) {
        self.price = feed.price
        self.updatedAt = feed.updatedAt
        self.minimum = feed.minimum
        self.maximum = feed.maximum
        self.maxAge = feed.maxAge
        self.current = current
    }
}

/// A token's price in a currency; nil: there is no such feed.
///
access(all) fun main(token: String, currency: String): FeedView? {
    let type = CompositeType(token)!
    if let feed = TokenPrices.feed(token: type, currency: currency) {
        return FeedView(feed, current: TokenPrices.current(token: type, currency: currency))
    }
    return nil
}
