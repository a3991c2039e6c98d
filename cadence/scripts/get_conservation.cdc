import "SubscriptionVaults"

access(all) struct Pool {
    access(all) let token: String
    /// The tokens that are there
    access(all) let balance: UFix64
    /// All vault balances, earnings and storage deposits of all providers, as the contract keeps them:
    /// must be the same. `add_up_books` adds them up.
    access(all) let accounted: UFix64

    view init(token: String, balance: UFix64, accounted: UFix64) {
        self.token = token
        self.balance = balance
        self.accounted = accounted
    }
}

access(all) struct BookView {
    access(all) let token: String
    access(all) let currency: String
    /// Tokens
    access(all) let balances: UFix64
    access(all) let earnings: UFix64
    access(all) let storageDeposits: UFix64
    /// Wad: charged = paid + owed + writtenOff
    access(all) let charged: UInt256
    access(all) let paid: UInt256
    access(all) let owed: UInt256
    access(all) let writtenOff: UInt256

    init(_ book: &SubscriptionVaults.Book) {
        self.token = book.token.identifier
        self.currency = book.currency
        self.balances = SubscriptionVaults.tokens(book.balances)
        self.earnings = SubscriptionVaults.tokens(book.earnings)
        self.storageDeposits = SubscriptionVaults.tokens(book.storageDeposits)
        self.charged = book.charged
        self.paid = book.paid
        self.owed = book.owed
        self.writtenOff = book.writtenOff
    }
}

access(all) struct Sums {
    access(all) var vaults: Int
    access(all) var balances: UFix64
    access(all) var storageDeposits: UFix64
    access(all) var charged: UInt256
    access(all) var paid: UInt256
    access(all) var owed: UInt256
    access(all) var writtenOff: UInt256

    view init() {
        self.vaults = 0
        self.balances = 0.0
        self.storageDeposits = 0.0
        self.charged = 0
        self.paid = 0
        self.owed = 0
        self.writtenOff = 0
    }

    access(all) fun add(
        _ vault: &SubscriptionVaults.Vault, _ agreement: &SubscriptionVaults.Agreement
    ) {
        self.vaults = self.vaults + 1
        self.storageDeposits = self.storageDeposits
            + SubscriptionVaults.tokens(agreement.storageDeposit)
        self.balances = self.balances + vault.balance()
        self.charged = self.charged + vault.charged()
        self.paid = self.paid + vault.paid()
        self.owed = self.owed + vault.owed()
        self.writtenOff = self.writtenOff + vault.writtenOff()
    }
}

access(all) struct Conservation {
    access(all) let pools: [Pool]
    /// The provider's running sums, one for each token and currency
    access(all) let books: [BookView]
    /// The same, added up from the vaults of the page
    access(all) let page: Sums

    init(pools: [Pool], books: [BookView], page: Sums) {
        self.pools = pools
        self.books = books
        self.page = page
    }
}

/// What must always hold: every pool holds what its vaults and providers are owed, and every charge
/// is paid, owed or written off.
///
/// @param from, limit the page of vaults to add up; limit 0 leaves it out
///
access(all) fun main(provider: UInt64, from: Int, limit: Int): Conservation {
    let pools: [Pool] = []
    for token in SubscriptionVaults.tokenTypes() {
        pools.append(Pool(
            token: token.identifier,
            balance: SubscriptionVaults.poolBalance(token: token),
            accounted: SubscriptionVaults.accountedFor(token: token)
        ))
    }
    let books: [BookView] = []
    if let desk = SubscriptionVaults.borrowDesk(provider: provider) {
        for book in desk.books {
            books.append(BookView(book))
        }
    }
    let page = Sums()
    for number in SubscriptionVaults.numbers(provider: provider, from: from, limit: limit) {
        let desk = SubscriptionVaults.borrowDesk(provider: provider)!
        page.add(desk.borrowVault(number)!, desk.borrowAgreement(number)!)
    }
    return Conservation(pools: pools, books: books, page: page)
}
