import "BandPrices"

/// Lets a token's feed follow a rate of Band's oracle. The feed has to be there: set_token_feed.
///
/// @param token identifier of the token's vault type
/// @param base, quote Band's symbols, such as FLOW and USD
///
transaction(token: String, currency: String, base: String, quote: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let governor = signer.storage
            .borrow<auth(BandPrices.Govern) &BandPrices.Governor>(from: BandPrices.GovernorPath)
            ?? panic("set_band_pair: The signer holds no BandPrices.Governor")
        governor.setPair(
            token: CompositeType(token) ?? panic("set_band_pair: \(token) is no type"),
            currency: currency,
            base: base,
            quote: quote
        )
    }
}
