import "FungibleToken"
import "FlowToken"

/// BandOracle
///
/// A stand-in, for the emulator alone, for the contract of this name that Band Protocol keeps on
/// Flow (mainnet 6801a6222ebf784a, testnet 9fb6606c300b5051). What a consumer and a relayer can call
/// has the same names, types, units and refusals; how it is done here is our own.
///
access(all) contract BandOracle {

    access(all) let OracleAdminStoragePath: StoragePath
    access(all) let RelayStoragePath: StoragePath
    access(all) let FeeCollectorStoragePath: StoragePath

    access(all) let e18: UInt256
    access(all) let e9: UInt256

    access(all) event BandOracleSymbolsUpdated(symbols: [String], relayerID: UInt64, requestID: UInt64)
    access(all) event BandOracleSymbolRemoved(symbol: String)
    access(all) event FeeUpdated(old: UFix64, new: UFix64)

    access(contract) let symbolsRefData: {String: RefData}
    access(contract) let payments: @{FungibleToken.Vault}
    access(contract) var fee: UFix64

    access(all) struct RefData {
        /// USD for one, times 1e9
        access(all) var rate: UInt64
        /// Unix seconds
        access(all) var timestamp: UInt64
        access(all) var requestID: UInt64

        init(rate: UInt64, timestamp: UInt64, requestID: UInt64) {
            self.rate = rate
            self.timestamp = timestamp
            self.requestID = requestID
        }
    }

    access(all) struct ReferenceData {
        /// Quote for one base, times 1e18
        access(all) var integerE18Rate: UInt256
        access(all) var fixedPointRate: UFix64
        /// Unix seconds
        access(all) var baseTimestamp: UInt64
        access(all) var quoteTimestamp: UInt64

        init(rate: UInt256, baseTimestamp: UInt64, quoteTimestamp: UInt64) {
            self.integerE18Rate = rate
            self.fixedPointRate = BandOracle.e18ToFixedPoint(rate: rate)
            self.baseTimestamp = baseTimestamp
            self.quoteTimestamp = quoteTimestamp
        }
    }

    access(all) resource BandOracleAdmin {
        access(all) fun removeSymbol(symbol: String) {
            BandOracle.symbolsRefData.remove(key: symbol)
            emit BandOracleSymbolRemoved(symbol: symbol)
        }

        access(all) fun createNewFeeCollector(): @FeeCollector {
            return <-create FeeCollector()
        }
    }

    access(all) resource Relay {
        /// Takes rates that are newer than those held
        access(all) fun relayRates(
            symbolsRates: {String: UInt64}, resolveTime: UInt64, requestID: UInt64
        ) {
            let newer: {String: UInt64} = {}
            for symbol in symbolsRates.keys {
                if (BandOracle.symbolsRefData[symbol]?.timestamp ?? 0) < resolveTime {
                    newer[symbol] = symbolsRates[symbol]!
                }
            }
            self.forceRelayRates(
                symbolsRates: newer,
                resolveTime: resolveTime,
                requestID: requestID
            )
        }

        /// Takes rates, also older ones
        access(all) fun forceRelayRates(
            symbolsRates: {String: UInt64}, resolveTime: UInt64, requestID: UInt64
        ) {
            for symbol in symbolsRates.keys {
                BandOracle.symbolsRefData[symbol] = RefData(
                    rate: symbolsRates[symbol]!,
                    timestamp: resolveTime,
                    requestID: requestID
                )
            }
            emit BandOracleSymbolsUpdated(
                symbols: symbolsRates.keys,
                relayerID: self.uuid,
                requestID: requestID
            )
        }
    }

    access(all) resource FeeCollector {
        access(all) fun setFee(fee: UFix64) {
            emit FeeUpdated(old: BandOracle.fee, new: fee)
            BandOracle.setFee(fee)
        }
    }

    access(all) view fun getFee(): UFix64 {
        return self.fee
    }

    /// All of the payment is kept, also what is above the fee
    ///
    access(all) fun getReferenceData(
        baseSymbol: String, quoteSymbol: String, payment: @{FungibleToken.Vault}
    ): ReferenceData {
        pre {
            payment.balance >= BandOracle.fee: "Insufficient balance"
        }
        let base = self.refData(baseSymbol)
        let quote = self.refData(quoteSymbol)
        self.payments.deposit(from: <-payment)
        return ReferenceData(
            rate: UInt256(base.rate) * self.e18 / UInt256(quote.rate),
            baseTimestamp: base.timestamp,
            quoteTimestamp: quote.timestamp
        )
    }

    access(all) view fun e18ToFixedPoint(rate: UInt256): UFix64 {
        return UFix64(rate / self.e18) + UFix64(rate / self.e9 % self.e9) / UFix64(self.e9)
    }

    /// USD is always one, as of now
    ///
    access(contract) fun refData(_ symbol: String): RefData {
        if symbol == "USD" {
            let now = UInt64(getCurrentBlock().timestamp)
            return RefData(rate: UInt64(self.e9), timestamp: now, requestID: 0)
        }
        return self.symbolsRefData[symbol]
            ?? panic("Cannot get a quote for the requested symbol pair.")
    }

    access(contract) fun setFee(_ fee: UFix64) {
        self.fee = fee
    }

    init() {
        self.OracleAdminStoragePath = /storage/BandOracleAdmin
        self.RelayStoragePath = /storage/BandOracleRelay
        self.FeeCollectorStoragePath = /storage/BandOracleFeeCollector
        self.e18 = 1_000_000_000_000_000_000
        self.e9 = 1_000_000_000
        self.symbolsRefData = {}
        self.payments <- FlowToken.createEmptyVault(vaultType: Type<@FlowToken.Vault>())
        self.fee = 0.0
        let admin <- create BandOracleAdmin()
        self.account.storage.save(
            <-admin.createNewFeeCollector(),
            to: self.FeeCollectorStoragePath
        )
        self.account.storage.save(<-admin, to: self.OracleAdminStoragePath)
        self.account.storage.save(<-create Relay(), to: self.RelayStoragePath)
    }
}
