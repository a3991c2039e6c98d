import "UsageBatches"

/// PricePlans
///
/// What usage costs. A plan weighs tokens by model, and prices a billing period's total of weighed
/// tokens by tiers. The price is a pure function of that total: it does not matter in which parts
/// or in which order usage arrives.
///
access(all) contract PricePlans {

    /// Emitted when names are appended to a provider's model table
    access(all) event ModelsRegistered(provider: UInt64, firstId: UInt16, names: [String])

    /// Emitted when a plan is published. It never changes.
    access(all) event PlanPublished(plan: UInt64, provider: UInt64, hash: UInt256)

    /// Emitted when a plan is offered no longer. Vaults that are on it keep it.
    access(all) event PlanRetired(provider: UInt64, plan: UInt64)

    /// By plan id
    access(self) let plans: {UInt64: Plan}

    /// Ids of plans that are offered no longer
    access(self) let retired: {UInt64: Bool}

    /// By provider
    access(self) let catalogs: {UInt64: Catalog}

    /// Room for later versions: an upgrade cannot add fields
    access(self) let extensions: {String: AnyStruct}

    /// Rate
    ///
    /// Weights of one model, in 1e-4: 10000 is 1.0.
    ///
    access(all) struct Rate {
        /// 0: of all models that have no rate of their own
        access(all) let modelId: UInt16
        access(all) let prompt: UInt32
        access(all) let cachedPrompt: UInt32
        access(all) let completion: UInt32
        access(all) let request: UInt32

        view init(
            modelId: UInt16,
            prompt: UInt32, cachedPrompt: UInt32, completion: UInt32, request: UInt32
        ) {
            self.modelId = modelId
            self.prompt = prompt
            self.cachedPrompt = cachedPrompt
            self.completion = completion
            self.request = request
        }

        /// The four weights in one integer, prompt highest
        ///
        access(all) view fun pack(): UInt {
            return UInt(self.prompt) << 96 | UInt(self.cachedPrompt) << 64
                | UInt(self.completion) << 32 | UInt(self.request)
        }
    }

    /// Tier
    ///
    /// One step of the tariff.
    ///
    access(all) struct Tier {
        /// The last billable token of it; nil: it has no end
        access(all) let upTo: UInt64?

        /// 1e-6 of the currency for a million billable tokens
        access(all) let pricePerMillion: UInt64
        access(all) let discountBps: UInt16

        view init(upTo: UInt64?, pricePerMillion: UInt64, discountBps: UInt16) {
            pre {
                pricePerMillion < 281474976710656:
                    "PricePlans.Tier.init: A price of \(pricePerMillion) is not below 2^48"
                discountBps <= 10000:
                    "PricePlans.Tier.init: A discount of \(discountBps) is above 10000"
                upTo == nil || upTo! > 0 && upTo! < UInt64.max:
                    "PricePlans.Tier.init: A tier cannot end at \(upTo!)"
            }
            self.upTo = upTo
            self.pricePerMillion = pricePerMillion
            self.discountBps = discountBps
        }

        /// What 1e-4 tokens cost, in 1e-20 of the currency
        ///
        access(all) view fun unit(): UInt {
            return UInt(self.pricePerMillion) * (10000 - UInt(self.discountBps))
        }
    }

    /// Terms
    ///
    /// What a plan says besides tiers and rates.
    ///
    access(all) struct Terms {
        access(all) let currency: String

        /// 0 graduated: each part at its own tier's price; 1 volume: all at the tier reached
        access(all) let mode: UInt8

        /// 0 day, 1 week from Monday, 2 month, in UTC
        access(all) let period: UInt8

        /// Wad, for a period with usage: due with its first entry, and not when it has none after all
        access(all) let minimum: UInt128
        access(all) let fee: UInt128

        /// Seconds that a withdrawal waits
        access(all) let notice: UInt32

        view init(
            currency: String, mode: UInt8, period: UInt8,
            minimum: UInt128, fee: UInt128, notice: UInt32
        ) {
            pre {
                currency.length > 0 && currency.length <= 16:
                    "PricePlans.Terms.init: A currency has 1 to 16 characters"
                mode <= 1: "PricePlans.Terms.init: There is no mode \(mode)"
                period <= 2: "PricePlans.Terms.init: There is no period \(period)"
                minimum < 1 << 112 && fee < 1 << 112:
                    "PricePlans.Terms.init: Minimum or fee is not below 2^112"
                notice <= 604800: "PricePlans.Terms.init: A notice of \(notice) s is above 7 days"
            }
            self.currency = currency
            self.mode = mode
            self.period = period
            self.minimum = minimum
            self.fee = fee
            self.notice = notice
        }
    }

    /// Plan
    ///
    /// Immutable once published.
    ///
    access(all) struct Plan {
        access(all) let id: UInt64
        access(all) let provider: UInt64

        /// Of the canonical form
        access(all) let hash: UInt256
        access(all) let terms: Terms
        access(all) let tiers: [Tier]

        /// Model ids ascend, from 0
        access(all) let rates: [Rate]

        // What pricing needs, again in few integers: they cost less to take apart than a stored
        // struct costs to read.

        /// The packed rates of models 0 to 31, u128 each, model 0 lowest; the default where a model
        /// has none
        access(self) let weights: UInt

        /// The packed rates of models from 32 on that have one
        access(self) let farWeights: {UInt: UInt}

        /// From the lowest bit: mode u8, minimum u112, fee u112; then the tiers, the first lowest,
        /// each unit u64 and upTo u112 in 1e-4 tokens
        access(self) let tariff: UInt

        /// Room for later versions: an upgrade cannot add fields
        access(self) let extensions: {String: AnyStruct}

        init(
            id: UInt64, provider: UInt64, terms: Terms, tiers: [Tier], rates: [Rate]
        ) {
            pre {
                tiers.length >= 1 && tiers.length <= 16:
                    "PricePlans.Plan.init: A plan has 1 to 16 tiers, not \(tiers.length)"
                tiers[tiers.length - 1].upTo == nil:
                    "PricePlans.Plan.init: The last tier must have no end"
                rates.length >= 1 && rates[0].modelId == 0:
                    "PricePlans.Plan.init: The first rate must be that of model 0"
            }
            self.id = id
            self.provider = provider
            self.terms = terms
            self.tiers = tiers
            self.rates = rates
            let byDefault = rates[0].pack()
            var weights: UInt = 0
            for model in InclusiveRange(0, 31) {
                weights = weights << 128 | byDefault
            }
            let farWeights: {UInt: UInt} = {}
            for i, rate in rates {
                let model = UInt(rate.modelId)
                assert(
                    i == 0 || rate.modelId > rates[i - 1].modelId,
                    message: "PricePlans.Plan.init: The rate of model \(model) is out of order"
                )
                if model >= 32 {
                    farWeights[model] = rate.pack()
                } else {
                    weights = weights - (byDefault << (model * 128)) + (rate.pack() << (model * 128))
                }
            }
            self.weights = weights
            self.farWeights = farWeights
            self.tariff = UInt(terms.mode) | UInt(terms.minimum) << 8 | UInt(terms.fee) << 120
                | PricePlans.stepsOf(tiers) << 232
            self.extensions = {}
            self.hash = PricePlans.hashOf(terms: terms, tiers: tiers, rates: rates)
        }

        /// Copies: a reference to the plan gives only references to its parts
        ///
        access(all) view fun copyTiers(): [Tier] {
            return self.tiers
        }

        access(all) view fun copyRates(): [Rate] {
            return self.rates
        }

        /// The weighed tokens of a packed entry, in 1e-4 tokens; nil: its model ids do not ascend, or
        /// more tokens were cached than prompted
        ///
        access(all) view fun billable(_ entry: UInt): UInt? {
            let weights = self.weights
            var billable: UInt = 0
            var rest = entry
            // The last row is the lowest bits, so the ids must fall.
            var above: UInt = 65536
            while rest >= 1 << 353 {
                let model = rest / (1 << 224) & 0xffff
                let prompt = rest / (1 << 160) & 0xffffffffffffffff
                let cached = rest / (1 << 96) & 0xffffffffffffffff
                if model >= above || cached > prompt {
                    return nil
                }
                let weight = model < 32
                    ? weights / (1 << (model * 128))
                    : self.farWeights[model] ?? weights
                billable = billable
                    + (prompt - cached) * (weight / (1 << 96) & 0xffffffff)
                    + cached * (weight / (1 << 64) & 0xffffffff)
                    + (rest / (1 << 32) & 0xffffffffffffffff) * (weight / (1 << 32) & 0xffffffff)
                    + (rest & 0xffffffff) * (weight & 0xffffffff)
                above = model
                rest = rest / (1 << 240)
            }
            return billable
        }

        /// What a billing period with a packed entry's totals costs in all, in wad: without usage
        /// nothing; nil: as `billable`
        ///
        access(all) view fun due(_ entry: UInt): UInt? {
            if let billable = self.billable(entry) {
                return billable == 0 && !UsageBatches.hasUsage(entry) ? 0 : self.price(billable)
            }
            return nil
        }

        /// What a billing period with usage costs in all, in wad. Exact until its one division.
        ///
        /// Graduated: each part at its own tier's price. Volume: all of it at the price of the tier
        /// that was reached, but never less than what was due at a bound that was crossed, since
        /// more usage must not cost less.
        ///
        access(all) view fun price(_ billable: UInt): UInt {
            let tariff = self.tariff
            let isVolume = tariff & 0xff == 1
            // In 1e-4 tokens x 1e-6 currency / 1e6 tokens x 1e-4 discount, which is 1e-20.
            var due: UInt = 0
            var lower: UInt = 0
            var tier = tariff / (1 << 232)
            while billable > tier / (1 << 64) & 0xffffffffffffffffffffffffffff {
                let upTo = tier / (1 << 64) & 0xffffffffffffffffffffffffffff
                let crossed = (isVolume ? upTo : upTo - lower) * (tier & 0xffffffffffffffff)
                due = isVolume ? (crossed > due ? crossed : due) : due + crossed
                lower = upTo
                tier = tier / (1 << 176)
            }
            let reached = (isVolume ? billable : billable - lower) * (tier & 0xffffffffffffffff)
            let exact = isVolume ? (reached > due ? reached : due) : due + reached
            let minimum = tariff / (1 << 8) & 0xffffffffffffffffffffffffffff
            return (exact / 100 > minimum ? exact / 100 : minimum)
                + (tariff / (1 << 120) & 0xffffffffffffffffffffffffffff)
        }
    }

    /// Catalog
    ///
    /// What a provider has published.
    ///
    access(all) struct Catalog {
        /// The first has id 1. Names are only ever appended.
        access(contract) let models: [String]
        access(contract) let modelIds: {String: UInt16}
        access(contract) let plans: [UInt64]

        view init() {
            self.models = []
            self.modelIds = {}
            self.plans = []
        }

        /// Appends the names that are not there yet, and returns them
        ///
        access(contract) fun register(_ names: [String]): [String] {
            let added: [String] = []
            for name in names {
                // In bytes: what a reader sees as one character may have any number of them.
                let size = name.utf8.length
                assert(
                    size > 0 && size <= 256,
                    message: "PricePlans.Catalog.register: A model name has 1 to 256 bytes, not \(size)"
                )
                if self.modelIds[name] == nil {
                    assert(
                        self.models.length < 65535,
                        message: "PricePlans.Catalog.register: The table is full"
                    )
                    self.models.append(name)
                    self.modelIds[name] = UInt16(self.models.length)
                    added.append(name)
                }
            }
            return added
        }

        access(contract) fun addPlan(_ plan: UInt64) {
            self.plans.append(plan)
        }
    }

    /// The billable total of typed rows in 1e-4 tokens; nil: there is no such plan, or no entry
    /// could hold the rows
    ///
    access(all) view fun billable(plan: UInt64, rows: [UsageBatches.Row]): UInt? {
        let packed = self.packed(rows)
        return UsageBatches.headOf(packed) == 0
            ? nil
            : self.borrowPlan(plan)?.billable(packed) ?? nil
    }

    /// What a billing period with typed rows costs in all, in wad; nil: as `billable`
    ///
    access(all) view fun due(plan: UInt64, rows: [UsageBatches.Row]): UInt? {
        let packed = self.packed(rows)
        return UsageBatches.headOf(packed) == 0 ? nil : self.borrowPlan(plan)?.due(packed) ?? nil
    }

    /// What a billing period with usage and a billable total costs in all, in wad
    ///
    access(all) view fun price(plan: UInt64, billable: UInt): UInt {
        pre {
            billable < 1 << 112: "PricePlans.price: No usage weighs \(billable)"
        }
        let found = self.borrowPlan(plan) ?? panic("PricePlans.price: There is no plan \(plan)")
        return found.price(billable)
    }

    /// A plan; nil: there is none of that id
    ///
    access(all) view fun borrowPlan(_ id: UInt64): &Plan? {
        return &self.plans[id]
    }

    /// Whether a plan is offered no longer
    ///
    access(all) view fun isRetired(_ id: UInt64): Bool {
        return self.retired[id] ?? false
    }

    /// A provider's model table: the first name has id 1
    ///
    access(all) view fun modelsOf(provider: UInt64): [String] {
        return self.catalogs[provider]?.models ?? []
    }

    /// How many names are in a provider's model table
    ///
    access(all) view fun modelCount(provider: UInt64): Int {
        return (&self.catalogs[provider] as &Catalog?)?.models?.length ?? 0
    }

    /// The ids of a provider's plans, oldest first
    ///
    access(all) view fun plansOf(provider: UInt64): [UInt64] {
        return self.catalogs[provider]?.plans ?? []
    }

    /// Start of the billing period (0 day, 1 week, 2 month) that an instant lies in, in UTC
    ///
    access(all) view fun periodStart(_ period: UInt8, at: UInt64): UInt64 {
        if period == 0 {
            return at - at % 86400
        }
        if period == 1 {
            // 1970 began on a Thursday: three days after a Monday.
            return at.saturatingSubtract((at + 259200) % 604800)
        }
        let days = at / 86400
        return (days - self.dayOfMonth(days)) * 86400
    }

    /// Start of the period after the one that an instant lies in
    ///
    access(all) view fun nextPeriodStart(_ period: UInt8, at: UInt64): UInt64 {
        let start = self.periodStart(period, at: at)
        return period == 2
            ? self.periodStart(2, at: start + 31 * 86400)
            : start + (period == 0 ? 86400 : 604800)
    }

    /// Day of the month, from 0, of a day since 1970-01-01
    ///
    /// Years are counted from March, so that a leap day comes last, and in eras of 400 years, which
    /// all have 146097 days. (The usual arithmetic of the proleptic Gregorian calendar.)
    ///
    access(self) view fun dayOfMonth(_ days: UInt64): UInt64 {
        let dayOfEra = (days + 719468) % 146097
        let year = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146096) / 365
        let dayOfYear = dayOfEra - (year * 365 + year / 4 - year / 100)
        let month = (dayOfYear * 5 + 2) / 153
        return dayOfYear - (month * 153 + 2) / 5
    }

    access(all) view fun modeNamed(_ name: String): UInt8 {
        return self.indexOf(name, among: ["graduated", "volume"])
    }

    access(all) view fun modeName(_ mode: UInt8): String {
        return ["graduated", "volume"][mode]
    }

    access(all) view fun periodNamed(_ name: String): UInt8 {
        return self.indexOf(name, among: ["day", "week", "month"])
    }

    access(all) view fun periodName(_ period: UInt8): String {
        return ["day", "week", "month"][period]
    }

    /// Appends to a provider's model table. SubscriptionVaults asks, for the holder of the Provider.
    ///
    access(account) fun registerModels(provider: UInt64, names: [String]) {
        let catalog = self.catalogOf(provider)
        let firstId = UInt16(catalog.models.length) + 1
        emit ModelsRegistered(
            provider: provider,
            firstId: firstId,
            names: catalog.register(names)
        )
    }

    /// Publishes a plan. SubscriptionVaults asks, for the holder of the Provider.
    ///
    /// @return its id
    ///
    access(account) fun publish(
        provider: UInt64, terms: Terms, tiers: [Tier], rates: [Rate]
    ): UInt64 {
        let catalog = self.catalogOf(provider)
        for rate in rates {
            assert(
                Int(rate.modelId) <= catalog.models.length,
                message: "PricePlans.publish: Model \(rate.modelId) is not in the table of provider \(provider)"
            )
        }
        let id = UInt64(self.plans.length) + 1
        let plan = Plan(id: id, provider: provider, terms: terms, tiers: tiers, rates: rates)
        self.plans[id] = plan
        catalog.addPlan(id)
        emit PlanPublished(plan: id, provider: provider, hash: plan.hash)
        return id
    }

    /// Offers a plan no longer. SubscriptionVaults asks, for the holder of the Provider.
    ///
    access(account) fun retire(provider: UInt64, plan: UInt64) {
        pre {
            self.borrowPlan(plan)?.provider == provider:
                "PricePlans.retire: Plan \(plan) is not one of provider \(provider)"
            !self.isRetired(plan): "PricePlans.retire: Plan \(plan) is retired already"
        }
        self.retired[plan] = true
        emit PlanRetired(provider: provider, plan: plan)
    }

    access(self) fun catalogOf(_ provider: UInt64): &Catalog {
        if self.catalogs[provider] == nil {
            self.catalogs[provider] = Catalog()
        }
        return (&self.catalogs[provider] as &Catalog?)!
    }

    /// The tiers of Plan.tariff
    ///
    access(contract) view fun stepsOf(_ tiers: [Tier]): UInt {
        var steps: UInt = 0
        var lower: UInt = 0
        for i, tier in tiers {
            let isLast = i == tiers.length - 1
            assert(
                isLast == (tier.upTo == nil),
                message: "PricePlans.stepsOf: Only the last tier has no end"
            )
            // The last takes all that an entry can hold: less than 2^103.
            let upTo: UInt = isLast ? (1 << 112) - 1 : UInt(tier.upTo!) * 10000
            assert(
                upTo > lower,
                message: "PricePlans.stepsOf: Tier \(i + 1) does not end above the one before"
            )
            steps = steps | (upTo << 64 | tier.unit()) << (UInt(i) * 176)
            lower = upTo
        }
        return steps
    }

    /// keccak of a plan's canonical form; README.md has it field by field
    ///
    access(contract) fun hashOf(
        terms: Terms, tiers: [Tier], rates: [Rate]
    ): UInt256 {
        let bytes = "flowmeter.plan.v1\u{0}".utf8
        let currency = terms.currency.utf8
        bytes.append(UInt8(currency.length))
        bytes.appendAll(currency)
        bytes.appendAll([terms.mode, terms.period])
        bytes.appendAll(terms.minimum.toBigEndianBytes())
        bytes.appendAll(terms.fee.toBigEndianBytes())
        bytes.appendAll(terms.notice.toBigEndianBytes())
        bytes.append(UInt8(tiers.length))
        for tier in tiers {
            bytes.appendAll((tier.upTo ?? UInt64.max).toBigEndianBytes())
            bytes.appendAll(tier.pricePerMillion.toBigEndianBytes())
            bytes.appendAll(tier.discountBps.toBigEndianBytes())
        }
        bytes.appendAll(UInt16(rates.length).toBigEndianBytes())
        for rate in rates {
            bytes.appendAll(rate.modelId.toBigEndianBytes())
            bytes.appendAll(rate.prompt.toBigEndianBytes())
            bytes.appendAll(rate.cachedPrompt.toBigEndianBytes())
            bytes.appendAll(rate.completion.toBigEndianBytes())
            bytes.appendAll(rate.request.toBigEndianBytes())
        }
        return UInt256.fromBigEndianBytes(HashAlgorithm.KECCAK_256.hash(bytes))!
    }

    /// Rows as in an entry, under an empty head
    ///
    access(self) view fun packed(_ rows: [UsageBatches.Row]): UInt {
        var packed: UInt = 1 << 352
        for row in rows {
            packed = packed << 240 | row.pack()
        }
        return packed
    }

    access(self) view fun indexOf(_ name: String, among names: [String]): UInt8 {
        let index = names.firstIndex(of: name)
            ?? panic("PricePlans.indexOf: \(name) is none of \(String.join(names, separator: ", "))")
        return UInt8(index)
    }

    init() {
        self.plans = {}
        self.retired = {}
        self.catalogs = {}
        self.extensions = {}
    }
}
