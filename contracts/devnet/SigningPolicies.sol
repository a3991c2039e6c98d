// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice Who signs for the rounds of one reward epoch, as the Relay is given it.
/// @param rewardEpochId The reward epoch.
/// @param startVotingRoundId The first voting round that it signs.
/// @param threshold The weight that signatures have to exceed.
/// @param seed The epoch's random number.
/// @param voters Their signing addresses, in the order of their indices.
/// @param weights Their weights, in the same order.
struct SigningPolicy {
    uint24 rewardEpochId;
    uint32 startVotingRoundId;
    uint16 threshold;
    uint256 seed;
    address[] voters;
    uint16[] weights;
}

/// @title SigningPolicies
/// @notice The byte form of a signing policy: voter count u16, reward epoch u24, start u32, threshold
/// u16, seed 32 bytes, then 22 bytes a voter (address, weight u16). All big-endian.
library SigningPolicies {
    error SigningPolicyEmpty();
    error TooManyVoters();
    error SizeMismatch();
    error TotalWeightTooBig();
    error ThresholdTooLow();
    error ThresholdTooHigh();
    error SigningPolicyTooShort();

    uint256 internal constant HEAD = 43;
    uint256 internal constant PER_VOTER = 22;
    uint256 internal constant VOTERS_MAX = 300;
    uint256 internal constant THRESHOLD_MIN_BIPS = 5000;
    uint256 internal constant THRESHOLD_MAX_BIPS = 6600;

    /// @notice Cuts a policy off the front of `data`, and says what follows it.
    function split(bytes calldata data) internal pure returns (bytes calldata policy, bytes calldata rest) {
        require(data.length >= HEAD, SigningPolicyTooShort());
        uint256 size = HEAD + PER_VOTER * uint16(bytes2(data[0:2]));
        require(data.length >= size, SigningPolicyTooShort());
        return (data[:size], data[size:]);
    }

    function voterCount(bytes calldata policy) internal pure returns (uint256) {
        return uint16(bytes2(policy[0:2]));
    }

    function rewardEpochId(bytes calldata policy) internal pure returns (uint256) {
        return uint24(bytes3(policy[2:5]));
    }

    function startVotingRoundId(bytes calldata policy) internal pure returns (uint256) {
        return uint32(bytes4(policy[5:9]));
    }

    function threshold(bytes calldata policy) internal pure returns (uint256) {
        return uint16(bytes2(policy[9:11]));
    }

    function voter(bytes calldata policy, uint256 index) internal pure returns (address at, uint256 weight) {
        bytes calldata entry = policy[HEAD + PER_VOTER * index:];
        return (address(bytes20(entry[0:20])), uint16(bytes2(entry[20:22])));
    }

    function encode(SigningPolicy calldata policy) internal pure returns (bytes memory packed) {
        uint256 count = policy.voters.length;
        require(count == policy.weights.length, SizeMismatch());
        require(count <= VOTERS_MAX, TooManyVoters());
        packed = abi.encodePacked(
            uint16(count), policy.rewardEpochId, policy.startVotingRoundId, policy.threshold, policy.seed
        );
        for (uint256 i = 0; i < count; i++) {
            packed = abi.encodePacked(packed, policy.voters[i], policy.weights[i]);
        }
    }

    /// @notice Reverts unless there are voters and the threshold is 50 to 66 % of their weight.
    function checkLimits(uint256 count, uint256 totalWeight, uint256 minimum) internal pure {
        require(count > 0, SigningPolicyEmpty());
        require(count <= VOTERS_MAX, TooManyVoters());
        require(totalWeight <= type(uint16).max, TotalWeightTooBig());
        require(minimum * 10_000 >= totalWeight * THRESHOLD_MIN_BIPS, ThresholdTooLow());
        require(minimum * 10_000 <= totalWeight * THRESHOLD_MAX_BIPS, ThresholdTooHigh());
    }
}
