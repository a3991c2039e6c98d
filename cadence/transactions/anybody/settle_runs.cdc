import "SubscriptionVaults"

/// Settles runs of entries, one after the other. All arrays have one element for each run.
///
/// @param seqs the batch that a run is of
/// @param leavesBefore, leavesAfter the other leaves of the run's chunk, in order
/// @param entries the run, each entry one integer
/// @param paths from the chunk up to the batch's root
///
transaction(
    provider: UInt64, seqs: [UInt64],
    leavesBefore: [[UInt256]], entries: [[UInt]], leavesAfter: [[UInt256]], paths: [[UInt256]]
) {
    prepare(signer: &Account) {}

    pre {
        leavesBefore.length == seqs.length && entries.length == seqs.length
            && leavesAfter.length == seqs.length && paths.length == seqs.length:
            "settle_runs: The arrays of the runs differ in length"
    }

    execute {
        for i, seq in seqs {
            SubscriptionVaults.settle(
                provider: provider,
                seq: seq,
                leavesBefore: leavesBefore[i],
                entries: entries[i],
                leavesAfter: leavesAfter[i],
                path: paths[i]
            )
        }
    }
}
