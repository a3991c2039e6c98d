import "TokenPrices"

/// Sets what a token's price in a currency may be, and how old.
///
/// @param token identifier of the token's vault type
/// @param minimum, maximum wad of the currency for one whole token
/// @param maxAge seconds
///
transaction(token: String, currency: String, minimum: UInt128, maximum: UInt128, maxAge: UFix64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let governor = signer.storage
            .borrow<auth(TokenPrices.Govern) &TokenPrices.Governor>(from: TokenPrices.GovernorPath)
            ?? panic("set_token_feed: The signer holds no TokenPrices.Governor")
        governor.setFeed(
            token: CompositeType(token) ?? panic("set_token_feed: \(token) is no type"),
            currency: currency,
            minimum: minimum,
            maximum: maximum,
            maxAge: maxAge
        )
    }
}
