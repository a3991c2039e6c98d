import "TokenPrices"

access(all) struct FeedView {
    /// Wad for one whole token, as last set
    access(all) let price: UInt128
    /// Unix seconds
    access(all) let updatedAt: UFix64
    /// governor, par, or the name of an adapter; empty: no price was set yet
    access(all) let source: String
    access(all) let minimum: UInt128
    access(all) let maximum: UInt128
    /// Seconds
    access(all) let maxAge: UFix64
    access(all) let isInBounds: Bool
    access(all) let isFresh: Bool
    /// What payments use now; nil: stale or out of bounds, and payments wait
    access(all) let current: UInt128?
    /// The last price that was in its bounds; nil: there never was one
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

/// A token's price in a currency; nil: there is no such feed.
///
access(all) fun main(token: String, currency: String): FeedView? {
    let type = CompositeType(token) ?? panic("get_token_price: \(token) is no type")
    if let feed = TokenPrices.feed(token: type, currency: currency) {
        return FeedView(
            feed,
            current: TokenPrices.current(token: type, currency: currency),
            lastGood: TokenPrices.lastGood(token: type, currency: currency)
        )
    }
    return nil
}
