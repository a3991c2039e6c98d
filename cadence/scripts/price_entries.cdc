import "PricePlans"

access(all) struct Priced {
    /// Of the canonical form
    access(all) let hash: UInt256
    /// 1e-4 tokens, one for each entry; nil: its model ids do not ascend, or it caches more than it
    /// prompts
    access(all) let billables: [UInt?]
    /// Wad, one for each entry; nil where the billable total is
    access(all) let prices: [UInt?]

    view init(hash: UInt256, billables: [UInt?], prices: [UInt?]) {
        self.hash = hash
        self.billables = billables
        self.prices = prices
    }
}

/// What a plan that need not be published would charge for entries, each an integer as settlement
/// takes it. Fails where the plan could not be published, but for models that are in no table.
///
/// @param currency … request as in the transaction publish_plan
///
access(all) fun main(
    currency: String, mode: String, period: String,
    minimum: UInt128, fee: UInt128, notice: UInt32,
    upTo: [UInt64?], pricePerMillion: [UInt64], discountBps: [UInt16],
    models: [UInt16], prompt: [UInt32], cachedPrompt: [UInt32], completion: [UInt32],
    request: [UInt32], entries: [UInt]
): Priced {
    let tiers: [PricePlans.Tier] = []
    for i, end in upTo {
        tiers.append(PricePlans.Tier(
            upTo: end,
            pricePerMillion: pricePerMillion[i],
            discountBps: discountBps[i]
        ))
    }
    let rates: [PricePlans.Rate] = []
    for i, model in models {
        rates.append(PricePlans.Rate(
            modelId: model,
            prompt: prompt[i],
            cachedPrompt: cachedPrompt[i],
            completion: completion[i],
            request: request[i]
        ))
    }
    let plan = PricePlans.Plan(
        id: 0,
        provider: 0,
        terms: PricePlans.Terms(
            currency: currency,
            mode: PricePlans.modeNamed(mode),
            period: PricePlans.periodNamed(period),
            minimum: minimum,
            fee: fee,
            notice: notice
        ),
        tiers: tiers,
        rates: rates
    )
    let billables: [UInt?] = []
    let prices: [UInt?] = []
    for entry in entries {
        let billable = plan.billable(entry)
        billables.append(billable)
        prices.append(plan.due(entry))
    }
    return Priced(hash: plan.hash, billables: billables, prices: prices)
}
