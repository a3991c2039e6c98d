import "BandPrices"

access(all) struct PairView {
    access(all) let base: String
    access(all) let quote: String
    /// FLOW that a refresh costs
    access(all) let fee: UFix64

    view init(_ pair: BandPrices.Pair, fee: UFix64) {
        self.base = pair.base
        self.quote = pair.quote
        self.fee = fee
    }
}

/// The rate of Band that a token's feed follows; nil: none.
///
access(all) fun main(token: String, currency: String): PairView? {
    let type = CompositeType(token) ?? panic("get_band_pair: \(token) is no type")
    if let pair = BandPrices.pair(token: type, currency: currency) {
        return PairView(pair, fee: BandPrices.fee())
    }
    return nil
}
