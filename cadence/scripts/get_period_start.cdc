import "PricePlans"

/// Starts of the billing periods, day, week or month, that instants lie in (unix seconds, UTC).
///
access(all) fun main(period: String, instants: [UInt64]): [UInt64] {
    let starts: [UInt64] = []
    for instant in instants {
        starts.append(PricePlans.periodStart(PricePlans.periodNamed(period), at: instant))
    }
    return starts
}
