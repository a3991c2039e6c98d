import "BandOracle"

/// Sets what a question to the stand-in of BandOracle costs, in FLOW.
///
transaction(fee: UFix64) {
    prepare(signer: auth(BorrowValue) &Account) {
        let collector = signer.storage
            .borrow<&BandOracle.FeeCollector>(from: BandOracle.FeeCollectorStoragePath)
            ?? panic("set_band_fee: The signer collects no fees")
        collector.setFee(fee: fee)
    }
}
