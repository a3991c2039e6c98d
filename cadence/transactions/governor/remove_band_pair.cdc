import "BandPrices"

/// Lets a token's feed follow Band no longer.
///
/// @param token identifier of the token's vault type
///
transaction(token: String, currency: String) {
    prepare(signer: auth(BorrowValue) &Account) {
        let governor = signer.storage
            .borrow<auth(BandPrices.Govern) &BandPrices.Governor>(from: BandPrices.GovernorPath)
            ?? panic("remove_band_pair: The signer holds no BandPrices.Governor")
        governor.removePair(
            token: CompositeType(token) ?? panic("remove_band_pair: \(token) is no type"),
            currency: currency
        )
    }
}
