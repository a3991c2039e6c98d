import "PricePlans"
import "SubscriptionVaults"

/// Publishes a price plan. Its id is in the event PlanPublished. It can never be changed.
///
/// @param mode graduated or volume
/// @param period day, week or month
/// @param minimum, fee wad of the currency, for a period
/// @param notice seconds that a withdrawal waits, at most 604800
/// @param upTo the last billable token of each tier; nil for the last tier
/// @param pricePerMillion 1e-6 of the currency for a million billable tokens
/// @param models, prompt, cachedPrompt, completion, request a rate each: model id, then weights
/// in 1e-4. The ids ascend from 0, which is the default rate and must be there.
///
transaction(
    currency: String, mode: String, period: String,
    minimum: UInt128, fee: UInt128, notice: UInt32,
    upTo: [UInt64?], pricePerMillion: [UInt64], discountBps: [UInt16],
    models: [UInt16], prompt: [UInt32], cachedPrompt: [UInt32], completion: [UInt32],
    request: [UInt32]
) {
    prepare(signer: auth(BorrowValue) &Account) {
        assert(
            pricePerMillion.length == upTo.length && discountBps.length == upTo.length,
            message: "publish_plan: The arrays of the tiers differ in length"
        )
        assert(
            prompt.length == models.length && cachedPrompt.length == models.length
                && completion.length == models.length && request.length == models.length,
            message: "publish_plan: The arrays of the rates differ in length"
        )
        let provider = signer.storage
            .borrow<auth(SubscriptionVaults.Operate) &SubscriptionVaults.Provider>(
                from: SubscriptionVaults.ProviderPath
            ) ?? panic("publish_plan: The signer is no provider")
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
        provider.publishPlan(
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
    }
}
