access(all) struct StorageView {
    /// Bytes
    access(all) let used: UInt64
    access(all) let capacity: UInt64

    view init(_ account: &Account) {
        self.used = account.storage.used
        self.capacity = account.storage.capacity
    }
}

/// How much of an account's storage is taken. Its FLOW pays for the capacity: where it is full,
/// whatever stores more there fails.
///
access(all) fun main(account: Address): StorageView {
    return StorageView(getAccount(account))
}
