import "FungibleToken"
import "BandOracle"
import "TokenPrices"

/// BandPrices
///
/// Brings rates of Band Protocol's oracle to the feeds of TokenPrices, by a transaction of its own
/// that anybody may send: who asks pays Band's fee, and cannot choose the answer. The feed's bounds
/// and greatest age stay governance's.
///
access(all) contract BandPrices {

    /// Allows saying which of Band's rates is a token's price
    access(all) entitlement Govern

    /// Emitted when a feed follows a rate of Band, or another one
    access(all) event PairSet(token: String, currency: String, base: String, quote: String)

    /// Emitted when a feed follows Band no longer
    access(all) event PairRemoved(token: String, currency: String)

    /// Where the contract account keeps its Governor
    access(all) let GovernorPath: StoragePath

    /// By token and currency
    access(self) let pairs: {Type: {String: Pair}}

    /// Room for later versions: an upgrade cannot add fields
    access(self) let extensions: {String: AnyStruct}

    /// Pair
    ///
    /// Band's symbols of a token and of a currency.
    ///
    access(all) struct Pair {
        access(all) let base: String
        access(all) let quote: String

        view init(base: String, quote: String) {
            self.base = base
            self.quote = quote
        }
    }

    /// Governor
    ///
    /// The contract account's say over what is followed.
    ///
    access(all) resource Governor {

        /// Lets anybody refresh a feed from a rate of Band. The feed has to be there, and not at par.
        ///
        /// @param base, quote Band's symbols, such as FLOW and USD
        ///
        access(Govern) fun setPair(token: Type, currency: String, base: String, quote: String) {
            pre {
                base.length > 0 && quote.length > 0 && base != quote:
                    "BandPrices.Governor.setPair: \(base) and \(quote) are no pair"
                TokenPrices.feed(token: token, currency: currency) != nil:
                    "BandPrices.Governor.setPair: \(token.identifier) has no feed in \(currency)"
                !TokenPrices.feed(token: token, currency: currency)!.isFixed():
                    "BandPrices.Governor.setPair: \(token.identifier) is at par with \(currency), and follows no rate"
            }
            BandPrices.put(token: token, currency: currency, pair: Pair(base: base, quote: quote))
            emit PairSet(token: token.identifier, currency: currency, base: base, quote: quote)
        }

        /// Lets a feed follow Band no longer. Its price stays until it is too old.
        ///
        access(Govern) fun removePair(token: Type, currency: String) {
            pre {
                BandPrices.pair(token: token, currency: currency) != nil:
                    "BandPrices.Governor.removePair: \(token.identifier) in \(currency) does not follow Band"
            }
            BandPrices.put(token: token, currency: currency, pair: nil)
            emit PairRemoved(token: token.identifier, currency: currency)
        }
    }

    /// Asks Band for a rate, and reports it as of when Band resolved it. Anybody may.
    ///
    /// A rate that is zero or out of the feed's bounds is reported too: it stops payments. One that
    /// is no newer than the price held reverts, and costs no fee of Band.
    ///
    /// @param payment FLOW for Band, see `fee`: all of it is kept
    ///
    access(all) fun refresh(token: Type, currency: String, payment: @{FungibleToken.Vault}) {
        let pair = self.pair(token: token, currency: currency)
            ?? panic("BandPrices.refresh: \(token.identifier) in \(currency) does not follow Band")
        let answer = BandOracle.getReferenceData(
            baseSymbol: pair.base,
            quoteSymbol: pair.quote,
            payment: <-payment
        )
        let base = answer.baseTimestamp
        let quote = answer.quoteTimestamp
        let now = UInt64(getCurrentBlock().timestamp)
        // Band says that USD is of now, so that the other one alone tells of a wrong clock.
        assert(
            base <= now && quote <= now,
            message: "BandPrices.refresh: The rates are of \(base) and \(quote), and it is \(now)"
        )
        let rate = answer.integerE18Rate
        TokenPrices.report(
            token: token,
            currency: currency,
            price: rate > UInt256(UInt128.max) ? UInt128.max : UInt128(rate),
            // The older of the two says how old the rate is.
            asOf: UFix64(base < quote ? base : quote),
            source: "band"
        )
    }

    /// The rate that a feed follows; nil: none
    ///
    access(all) view fun pair(token: Type, currency: String): Pair? {
        if let byCurrency = self.pairs[token] {
            return byCurrency[currency]
        }
        return nil
    }

    /// FLOW that a refresh costs
    ///
    access(all) view fun fee(): UFix64 {
        return BandOracle.getFee()
    }

    access(contract) fun put(token: Type, currency: String, pair: Pair?) {
        let byCurrency = self.pairs[token] ?? {}
        byCurrency[currency] = pair
        self.pairs[token] = byCurrency
    }

    init() {
        self.GovernorPath = StoragePath(identifier: "BandPricesGovernor_\(self.account.address)")!
        self.pairs = {}
        self.extensions = {}
        self.account.storage.save(<-create Governor(), to: self.GovernorPath)
    }
}
