import "BandOracle"

/// Relays rates to the stand-in of BandOracle, as Band's own relayer does.
///
/// @param rates USD for one, times 1e9
/// @param resolveTime unix seconds
///
transaction(symbols: [String], rates: [UInt64], resolveTime: UInt64, isForced: Bool) {
    prepare(signer: auth(BorrowValue) &Account) {
        let relay = signer.storage.borrow<&BandOracle.Relay>(from: BandOracle.RelayStoragePath)
            ?? panic("relay_rates: The signer is no relayer")
        let bySymbol: {String: UInt64} = {}
        for i, symbol in symbols {
            bySymbol[symbol] = rates[i]
        }
        if isForced {
            relay.forceRelayRates(
                symbolsRates: bySymbol,
                resolveTime: resolveTime,
                requestID: resolveTime
            )
        } else {
            relay.relayRates(
                symbolsRates: bySymbol,
                resolveTime: resolveTime,
                requestID: resolveTime
            )
        }
    }
}
