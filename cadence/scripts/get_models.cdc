import "PricePlans"

/// The provider's model table. The first name has id 1.
///
access(all) fun main(provider: UInt64): [String] {
    return PricePlans.modelsOf(provider: provider)
}
