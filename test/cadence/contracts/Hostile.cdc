import "FungibleToken"
import "SubscriptionVaults"

/// What a hostile customer may deploy: a receiver that does as it is told when tokens arrive.
///
access(all) contract Hostile {

    access(all) resource Receiver: FungibleToken.Receiver {
        access(all) var mode: String
        access(all) let provider: UInt64
        access(all) let account: UInt64
        access(all) let other: UInt64
        access(all) let kept: @{Type: {FungibleToken.Vault}}

        init(provider: UInt64, account: UInt64, other: UInt64) {
            self.mode = "keep"
            self.provider = provider
            self.account = account
            self.other = other
            self.kept <- {}
        }

        access(all) fun setMode(_ mode: String) {
            self.mode = mode
        }

        access(all) view fun getSupportedVaultTypes(): {Type: Bool} {
            return {}
        }

        access(all) view fun isSupportedVaultType(type: Type): Bool {
            return true
        }

        access(all) fun deposit(from: @{FungibleToken.Vault}) {
            if self.mode == "refuse" {
                panic("Hostile: not today")
            }
            if self.mode == "again" {
                SubscriptionVaults.refund(provider: self.provider, account: self.account)
            }
            if self.mode == "elsewhere" {
                // Calls whatever it may in the middle of a refund, and puts the tokens back in.
                SubscriptionVaults.payOwed(provider: self.provider, account: self.other)
                SubscriptionVaults.deposit(
                    provider: self.provider, account: self.other, from: <-from
                )
                return
            }
            self.kept[from.getType()] <-! from
        }
    }

    access(all) fun createReceiver(
        provider: UInt64, account: UInt64, other: UInt64
    ): @Receiver {
        return <-create Receiver(provider: provider, account: account, other: other)
    }
}
