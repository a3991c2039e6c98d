/** The clock of one network. Instants are Unix seconds, as blocks have them. */
export interface EpochParams {
  readonly firstVotingRoundStartTs: number
  readonly votingEpochDurationSeconds: number
  readonly rewardEpochDurationInVotingEpochs: number
  /** The reward epochs are counted from this round. */
  readonly firstRewardEpochStartVotingRoundId: number
}

export function roundAt(params: EpochParams, timestamp: number): number {
  const { firstVotingRoundStartTs, votingEpochDurationSeconds } = params
  return Math.floor((timestamp - firstVotingRoundStartTs) / votingEpochDurationSeconds)
}

/** The reward epoch that a round belongs to by count, whenever its policy starts. */
export function nominalEpoch(params: EpochParams, round: number): number {
  const sinceFirst = round - params.firstRewardEpochStartVotingRoundId
  return Math.floor(sinceFirst / params.rewardEpochDurationInVotingEpochs)
}

export function roundStart(params: EpochParams, round: number): number {
  return params.firstVotingRoundStartTs + round * params.votingEpochDurationSeconds
}
