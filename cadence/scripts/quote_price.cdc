import "PricePlans"
import "UsageBatches"

access(all) struct Quote {
    /// 1e-4 tokens
    access(all) let billable: UInt
    /// Wad, with minimum and fee where anything was used
    access(all) let price: UInt

    view init(billable: UInt, price: UInt) {
        self.billable = billable
        self.price = price
    }
}

/// What a plan charges for usage, a row for each model, ids ascending; nil: no such plan, or rows
/// that no entry could hold.
///
access(all) fun main(
    plan: UInt64, models: [UInt16], promptTokens: [UInt64], cachedPromptTokens: [UInt64],
    completionTokens: [UInt64], requests: [UInt32]
): Quote? {
    let rows: [UsageBatches.Row] = []
    for i, model in models {
        rows.append(UsageBatches.Row(
            modelId: model,
            promptTokens: promptTokens[i],
            cachedPromptTokens: cachedPromptTokens[i],
            completionTokens: completionTokens[i],
            requests: requests[i]
        ))
    }
    if let billable = PricePlans.billable(plan: plan, rows: rows) {
        return Quote(billable: billable, price: PricePlans.due(plan: plan, rows: rows)!)
    }
    return nil
}
