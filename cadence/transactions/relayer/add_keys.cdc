/// Gives the account more keys like one that it has. Each is a way of its own for transactions:
/// they have sequence numbers of their own.
///
/// @param keyIndex the key to repeat: its public key, its hash
/// @param count how many are added, each of full weight
///
transaction(keyIndex: Int, count: Int) {
    let key: AccountKey
    let keys: auth(AddKey) &Account.Keys

    prepare(signer: auth(AddKey) &Account) {
        self.key = signer.keys.get(keyIndex: keyIndex)
            ?? panic("add_keys: The account has no key \(keyIndex)")
        assert(!self.key.isRevoked, message: "add_keys: Key \(keyIndex) is revoked")
        self.keys = signer.keys
    }

    execute {
        var added = 0
        while added < count {
            self.keys.add(
                publicKey: self.key.publicKey,
                hashAlgorithm: self.key.hashAlgorithm,
                weight: 1000.0
            )
            added = added + 1
        }
    }
}
