/// The account that create_account made for a key; nil: none yet.
///
/// @param creator who signed it
/// @param publicKey x ‖ y in hex
///
access(all) fun main(creator: Address, publicKey: String): Address? {
    let path = StoragePath(identifier: "flowmeterAccount_\(publicKey)")!
    return getAuthAccount<auth(CopyValue) &Account>(creator).storage.copy<Address>(from: path)
}
