/// TokenPrices
///
/// What a token is worth in a currency. Governance sets it; a price that is too old or out of its
/// bounds counts as none, and there is no fallback: usage is charged all the same, and payment
/// waits.
///
access(all) contract TokenPrices {

    /// Allows setting prices and what they may be
    access(all) entitlement Govern

    /// Emitted when a feed is made, or its rules change
    access(all) event FeedSet(
        token: String, currency: String, minimum: UInt128, maximum: UInt128, maxAge: UFix64
    )

    /// Emitted when a price is set. It may be out of bounds, and so stop payments.
    access(all) event PriceSet(token: String, currency: String, price: UInt128)

    /// Where the contract account keeps its Governor
    access(all) let GovernorPath: StoragePath

    /// By token and currency
    access(self) let feeds: {Type: {String: Feed}}

    /// Room for later versions: an upgrade cannot add fields
    access(self) let extensions: {String: AnyStruct}

    /// Feed
    ///
    /// The last price of a token in a currency, and the rules that it must keep to be used.
    ///
    access(all) struct Feed {
        /// Wad of the currency for one whole token; 0: none was set yet
        access(all) let price: UInt128

        /// Unix seconds
        access(all) let updatedAt: UFix64

        /// Wad
        access(all) let minimum: UInt128
        access(all) let maximum: UInt128

        /// Seconds
        access(all) let maxAge: UFix64

        view init(
            price: UInt128, updatedAt: UFix64, minimum: UInt128, maximum: UInt128, maxAge: UFix64
        ) {
            self.price = price
            self.updatedAt = updatedAt
            self.minimum = minimum
            self.maximum = maximum
            self.maxAge = maxAge
        }
    }

    /// Governor
    ///
    /// The contract account's say over prices.
    ///
    access(all) resource Governor {

        /// Makes a feed, or changes its rules. The price it has stays.
        ///
        /// @param minimum, maximum wad of the currency for one whole token
        /// @param maxAge seconds
        ///
        access(Govern) fun setFeed(
            token: Type, currency: String, minimum: UInt128, maximum: UInt128, maxAge: UFix64
        ) {
            pre {
                minimum > 0 && minimum <= maximum:
                    "TokenPrices.Governor.setFeed: \(minimum) to \(maximum) are no bounds"
                maxAge > 0.0: "TokenPrices.Governor.setFeed: No price would be new enough"
            }
            let old = TokenPrices.feed(token: token, currency: currency)
            TokenPrices.put(token: token, currency: currency, feed: Feed(
                price: old?.price ?? 0,
                updatedAt: old?.updatedAt ?? 0.0,
                minimum: minimum,
                maximum: maximum,
                maxAge: maxAge
            ))
            emit FeedSet(
                token: token.identifier,
                currency: currency,
                minimum: minimum,
                maximum: maximum,
                maxAge: maxAge
            )
        }

        /// Sets a price as of this block
        ///
        /// One out of bounds is kept too: it tells that something is wrong, and stops payments.
        ///
        /// @param price wad of the currency for one whole token
        ///
        access(Govern) fun setPrice(token: Type, currency: String, price: UInt128) {
            let feed = TokenPrices.feed(token: token, currency: currency)
                ?? panic("TokenPrices.Governor.setPrice: \(token.identifier) has no feed in \(currency)")
            TokenPrices.put(token: token, currency: currency, feed: Feed(
                price: price,
                updatedAt: getCurrentBlock().timestamp,
                minimum: feed.minimum,
                maximum: feed.maximum,
                maxAge: feed.maxAge
            ))
            emit PriceSet(token: token.identifier, currency: currency, price: price)
        }
    }

    /// The price to pay with now; nil: there is none, it is stale, or out of bounds
    ///
    access(all) view fun current(token: Type, currency: String): UInt128? {
        if let feed = self.feed(token: token, currency: currency) {
            let isInBounds = feed.price >= feed.minimum && feed.price <= feed.maximum
            let age = getCurrentBlock().timestamp.saturatingSubtract(feed.updatedAt)
            return isInBounds && age <= feed.maxAge ? feed.price : nil
        }
        return nil
    }

    /// A feed as it is; nil: none was made
    ///
    access(all) view fun feed(token: Type, currency: String): Feed? {
        if let byCurrency = self.feeds[token] {
            return byCurrency[currency]
        }
        return nil
    }

    access(contract) fun put(token: Type, currency: String, feed: Feed) {
        let byCurrency = self.feeds[token] ?? {}
        byCurrency[currency] = feed
        self.feeds[token] = byCurrency
    }

    init() {
        self.GovernorPath = StoragePath(identifier: "TokenPricesGovernor_\(self.account.address)")!
        self.feeds = {}
        self.extensions = {}
        self.account.storage.save(<-create Governor(), to: self.GovernorPath)
    }
}
