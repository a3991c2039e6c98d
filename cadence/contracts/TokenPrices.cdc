import "FlowToken"

/// TokenPrices
///
/// What a token is worth in a currency. Governance sets it, or an adapter that governance allowed
/// brings it from an oracle; a price that is too old or out of its bounds counts as none, and there
/// is no fallback: usage is charged all the same, and payment waits.
///
/// A token that is its currency (FLOW in FLOW, a USD stablecoin in USD) needs no feed: it is at par.
///
access(all) contract TokenPrices {

    /// Allows setting prices and what they may be
    access(all) entitlement Govern

    /// Emitted when a feed is made, or its rules change
    access(all) event FeedSet(
        token: String, currency: String, minimum: UInt128, maximum: UInt128, maxAge: UFix64
    )

    /// Emitted when a price is set. Where it is not good, it is out of bounds and stops payments.
    ///
    /// @param asOf unix seconds
    /// @param source who says so: governor, par, or the name of an adapter
    ///
    access(all) event PriceSet(
        token: String, currency: String, price: UInt128, asOf: UFix64, source: String,
        isGood: Bool
    )

    /// Where the contract account keeps its Governor
    access(all) let GovernorPath: StoragePath

    /// One of the currency for one whole token, in wad
    access(all) let par: UInt128

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

        /// governor, par, or the name of an adapter; empty: none was set yet
        access(all) let source: String

        /// The last price that was in the bounds of its time, in wad; 0: there was none
        access(all) let lastGood: UInt128

        /// Wad
        access(all) let minimum: UInt128
        access(all) let maximum: UInt128

        /// Seconds
        access(all) let maxAge: UFix64

        view init(
            price: UInt128, updatedAt: UFix64, source: String, lastGood: UInt128,
            minimum: UInt128, maximum: UInt128, maxAge: UFix64
        ) {
            self.price = price
            self.updatedAt = updatedAt
            self.source = source
            self.lastGood = lastGood
            self.minimum = minimum
            self.maximum = maximum
            self.maxAge = maxAge
        }

        /// Whether the price keeps its bounds
        ///
        access(all) view fun isInBounds(): Bool {
            return self.price >= self.minimum && self.price <= self.maximum
        }

        /// Whether one price alone keeps the bounds, as at par: then no oracle has a say
        ///
        access(all) view fun isFixed(): Bool {
            return self.minimum == self.maximum
        }

        /// Whether the price is not too old in this block
        ///
        access(all) view fun isFresh(): Bool {
            return getCurrentBlock().timestamp.saturatingSubtract(self.updatedAt) <= self.maxAge
        }

        /// The same rules with another price
        ///
        access(contract) view fun with(price: UInt128, asOf: UFix64, source: String): Feed {
            let isGood = price >= self.minimum && price <= self.maximum
            return Feed(
                price: price,
                updatedAt: asOf,
                source: source,
                lastGood: isGood ? price : self.lastGood,
                minimum: self.minimum,
                maximum: self.maximum,
                maxAge: self.maxAge
            )
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
            TokenPrices.setRules(token: token, currency: currency, feed: Feed(
                price: old?.price ?? 0,
                updatedAt: old?.updatedAt ?? 0.0,
                source: old?.source ?? "",
                lastGood: old?.lastGood ?? 0,
                minimum: minimum,
                maximum: maximum,
                maxAge: maxAge
            ))
        }

        /// Sets a price as of this block
        ///
        /// One out of bounds is kept too: it tells that something is wrong, and stops payments.
        ///
        /// @param price wad of the currency for one whole token
        ///
        access(Govern) fun setPrice(token: Type, currency: String, price: UInt128) {
            TokenPrices.setPrice(
                token: token,
                currency: currency,
                price: price,
                asOf: getCurrentBlock().timestamp,
                source: "governor"
            )
        }

        /// Says that a token is its currency: one is worth one, for ever. (A feed that is set
        /// later takes its place.) Oracles have no say then.
        ///
        access(Govern) fun setPar(token: Type, currency: String) {
            TokenPrices.setPar(token: token, currency: currency)
        }
    }

    /// The price to pay with now, in wad; nil: there is none, it is stale, or out of bounds
    ///
    access(all) view fun current(token: Type, currency: String): UInt128? {
        if let feed = self.feed(token: token, currency: currency) {
            return feed.isInBounds() && feed.isFresh() ? feed.price : nil
        }
        return nil
    }

    /// The last price that was in its bounds, however old, in wad; nil: there never was one
    ///
    /// It is never paid with. It tells about how much balance a debt locks while there is no price.
    ///
    access(all) view fun lastGood(token: Type, currency: String): UInt128? {
        if let feed = self.feed(token: token, currency: currency) {
            return feed.lastGood > 0 ? feed.lastGood : nil
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

    /// Takes the price of an oracle, for an adapter on this account
    ///
    /// @param price wad of the currency for one whole token
    /// @param asOf unix seconds, not in the future: the adapter sees to that. Only a newer price is
    /// news, so that nobody can bring back an old one.
    ///
    access(account) fun report(
        token: Type, currency: String, price: UInt128, asOf: UFix64, source: String
    ) {
        let feed = self.feed(token: token, currency: currency)
        let updatedAt = feed?.updatedAt ?? 0.0
        assert(
            feed == nil || !feed!.isFixed(),
            message: "TokenPrices.report: \(token.identifier) is at par with \(currency), and takes no price of an oracle"
        )
        assert(
            asOf > updatedAt,
            message: "TokenPrices.report: The price of \(asOf) is no newer than the one of \(updatedAt)"
        )
        self.setPrice(token: token, currency: currency, price: price, asOf: asOf, source: source)
    }

    access(contract) fun setPrice(
        token: Type, currency: String, price: UInt128, asOf: UFix64, source: String
    ) {
        let feed = self.feed(token: token, currency: currency)
            ?? panic("TokenPrices.setPrice: \(token.identifier) has no feed in \(currency)")
        let next = feed.with(price: price, asOf: asOf, source: source)
        self.put(token: token, currency: currency, feed: next)
        emit PriceSet(
            token: token.identifier,
            currency: currency,
            price: price,
            asOf: asOf,
            source: source,
            isGood: next.isInBounds()
        )
    }

    access(contract) fun setPar(token: Type, currency: String) {
        self.setRules(token: token, currency: currency, feed: Feed(
            price: 0,
            updatedAt: 0.0,
            source: "",
            lastGood: 0,
            minimum: self.par,
            maximum: self.par,
            maxAge: UFix64.max
        ))
        self.setPrice(
            token: token,
            currency: currency,
            price: self.par,
            asOf: getCurrentBlock().timestamp,
            source: "par"
        )
    }

    access(contract) fun setRules(token: Type, currency: String, feed: Feed) {
        self.put(token: token, currency: currency, feed: feed)
        emit FeedSet(
            token: token.identifier,
            currency: currency,
            minimum: feed.minimum,
            maximum: feed.maximum,
            maxAge: feed.maxAge
        )
    }

    access(self) fun put(token: Type, currency: String, feed: Feed) {
        let byCurrency = self.feeds[token] ?? {}
        byCurrency[currency] = feed
        self.feeds[token] = byCurrency
    }

    init() {
        self.GovernorPath = StoragePath(identifier: "TokenPricesGovernor_\(self.account.address)")!
        self.par = 1_000_000_000_000_000_000
        self.feeds = {}
        self.extensions = {}
        self.account.storage.save(<-create Governor(), to: self.GovernorPath)
        self.setPar(token: Type<@FlowToken.Vault>(), currency: "FLOW")
    }
}
