import "UsageBatches"

access(all) struct EntryView {
    access(all) let accountNumber: UInt64
    access(all) let periodStart: UInt32
    access(all) let recordsRoot: UInt256
    access(all) let rows: [UsageBatches.Row]
    access(all) let leaf: UInt256

    init(_ entry: UsageBatches.Entry) {
        self.accountNumber = entry.accountNumber
        self.periodStart = entry.periodStart
        self.recordsRoot = entry.recordsRoot
        self.rows = entry.rows()
        self.leaf = UsageBatches.leafOf(entry.packed)
    }
}

/// The fields of an entry and its leaf; nil: no entry has this form.
///
access(all) fun main(entry: UInt): EntryView? {
    if let view = UsageBatches.entry(entry) {
        return EntryView(view)
    }
    return nil
}
