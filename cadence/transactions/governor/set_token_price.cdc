import "TokenPrices"

/// Sets the price of a token, as of this block.
///
/// @param token identifier of the token's vault type
/// @param price wad of the currency for one whole token
///
transaction(token: String, currency: String, price: UInt128) {
    prepare(signer: auth(BorrowValue) &Account) {
        let governor = signer.storage
            .borrow<auth(TokenPrices.Govern) &TokenPrices.Governor>(from: TokenPrices.GovernorPath)
            ?? panic("set_token_price: The signer holds no TokenPrices.Governor")
        governor.setPrice(
            token: CompositeType(token) ?? panic("set_token_price: \(token) is no type"),
            currency: currency,
            price: price
        )
    }
}
