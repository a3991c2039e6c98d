import "TokenPrices"

/// Says that a token is its currency, as a USD stablecoin is USD: one is worth one, and no feed is
/// needed.
///
/// @param token identifier of the token's vault type
///
transaction(token: String, currency: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let governor = signer.storage
            .borrow<auth(TokenPrices.Govern) &TokenPrices.Governor>(from: TokenPrices.GovernorPath)
            ?? panic("set_token_at_par: The signer holds no TokenPrices.Governor")
        governor.setPar(
            token: CompositeType(token) ?? panic("set_token_at_par: \(token) is no type"),
            currency: currency
        )
    }
}
