import "SubscriptionVaults"

access(all) struct RecordView {
    access(all) let meterEpoch: UInt32
    access(all) let lastSeq: UInt64
    /// 1e-4 tokens
    access(all) let billable: UInt128
    /// Wad, of the period so far
    access(all) let charged: UInt128

    view init(_ record: SubscriptionVaults.Record) {
        self.meterEpoch = record.meterEpoch
        self.lastSeq = record.lastSeq
        self.billable = record.billable
        self.charged = record.charged
    }
}

/// What Flow has applied of (account, period) pairs, one each; nil: nothing, or no such vault.
///
/// @param periodStarts as long as accounts, unix seconds
///
access(all) fun main(
    provider: UInt64, accounts: [UInt64], periodStarts: [UInt32]
): [RecordView?] {
    let records: [RecordView?] = []
    for i, account in accounts {
        let vault = SubscriptionVaults.borrowVault(provider: provider, account: account)
        if let record = vault?.record(periodStart: periodStarts[i]) ?? nil {
            records.append(RecordView(record))
        } else {
            records.append(nil)
        }
    }
    return records
}
