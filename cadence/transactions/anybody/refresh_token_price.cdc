import "FungibleToken"
import "FlowToken"
import "BandPrices"

/// Brings Band's newest rate to a token's feed. The signer pays Band's fee.
///
/// @param token identifier of the token's vault type
/// @param maxFee the most FLOW that may be paid to Band for it
///
transaction(token: String, currency: String, maxFee: UFix64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let fee = BandPrices.fee()
        assert(
            fee <= maxFee,
            message: "refresh_token_price: Band asks \(fee) FLOW, above the \(maxFee) allowed"
        )
        let flow = signer.storage
            .borrow<auth(FungibleToken.Withdraw) &FlowToken.Vault>(from: /storage/flowTokenVault)
            ?? panic("refresh_token_price: The signer has no FLOW vault")
        BandPrices.refresh(
            token: CompositeType(token) ?? panic("refresh_token_price: \(token) is no type"),
            currency: currency,
            payment: <-flow.withdraw(amount: fee)
        )
    }
}
