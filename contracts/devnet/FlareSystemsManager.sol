// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IFlareContractRegistry} from "@flarenetwork/flare-periphery-contracts/coston2/IFlareContractRegistry.sol";
import {IFlareSystemsManager} from "@flarenetwork/flare-periphery-contracts/coston2/IFlareSystemsManager.sol";
import {ProtocolsV2Interface} from "@flarenetwork/flare-periphery-contracts/coston2/ProtocolsV2Interface.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {NotOnLocalNetwork} from "./NotOnLocalNetwork.sol";
import {Relay} from "./Relay.sol";
import {SigningPolicy} from "./SigningPolicies.sol";

/// @title FlareSystemsManager
/// @notice The local network's stand-in: the clock of rounds and reward epochs, and the place where
/// the voters of one epoch sign the policy of the next.
/// @dev On Flare this contract chooses the next voters by itself, from stake and a random number. Here
/// `governance` names them; the start of their epoch and their threshold follow Flare's rules.
contract FlareSystemsManager is IFlareSystemsManager {
    /// @notice The numbers of the network, in seconds and voting rounds.
    /// @param startDelayRounds How many rounds lie at least between setting a policy and its start.
    struct Clock {
        uint64 firstVotingRoundStartTs;
        uint64 votingEpochDurationSeconds;
        uint64 rewardEpochDurationInVotingEpochs;
        uint32 startDelayRounds;
    }

    IFlareContractRegistry private immutable registry;
    address private immutable governance = msg.sender;

    /// @inheritdoc ProtocolsV2Interface
    uint64 public immutable firstVotingRoundStartTs;
    /// @inheritdoc ProtocolsV2Interface
    uint64 public immutable votingEpochDurationSeconds;
    /// @inheritdoc ProtocolsV2Interface
    uint64 public immutable rewardEpochDurationSeconds;
    uint32 private immutable startDelayRounds;

    uint24 private lastEpochId;
    mapping(uint256 rewardEpochId => SigningPolicy) private policies;
    mapping(uint256 rewardEpochId => uint256) private signedWeight;
    mapping(uint256 rewardEpochId => bool) private isSigned;
    mapping(uint256 rewardEpochId => mapping(address voter => bool)) private hasSigned;

    /// @param flareContractRegistry Where the Relay is looked up.
    /// @param clock The numbers of the network; its first reward epoch begins with round 0.
    /// @param initial The policy that the Relay begins with.
    constructor(IFlareContractRegistry flareContractRegistry, Clock memory clock, SigningPolicy memory initial) {
        registry = flareContractRegistry;
        firstVotingRoundStartTs = clock.firstVotingRoundStartTs;
        votingEpochDurationSeconds = clock.votingEpochDurationSeconds;
        rewardEpochDurationSeconds = clock.rewardEpochDurationInVotingEpochs * clock.votingEpochDurationSeconds;
        startDelayRounds = clock.startDelayRounds;
        lastEpochId = initial.rewardEpochId;
        policies[initial.rewardEpochId] = initial;
    }

    /// @notice Sets the policy of the next reward epoch on the Relay, for its voters to be signed for.
    /// @param voters Their signing addresses, in the order of their indices.
    /// @param weights Their weights, in the same order.
    /// @param seed The epoch's random number.
    function initialiseNextSigningPolicy(address[] calldata voters, uint16[] calldata weights, uint256 seed)
        external
        returns (bytes32)
    {
        require(msg.sender == governance, "only governance");
        uint256 total = 0;
        for (uint256 i = 0; i < weights.length; i++) {
            total += weights[i];
        }
        uint24 epoch = lastEpochId + 1;
        uint256 nominal = epoch * (rewardEpochDurationSeconds / votingEpochDurationSeconds);
        uint256 earliest = getCurrentVotingEpochId() + startDelayRounds + 1;
        SigningPolicy memory policy = SigningPolicy({
            rewardEpochId: epoch,
            startVotingRoundId: uint32(nominal > earliest ? nominal : earliest),
            threshold: uint16((total + 1) / 2),
            seed: seed,
            voters: voters,
            weights: weights
        });
        lastEpochId = epoch;
        policies[epoch] = policy;
        return relay().setSigningPolicy(policy);
    }

    /// @inheritdoc IFlareSystemsManager
    function signNewSigningPolicy(uint24 epoch, bytes32 policyHash, Signature calldata signature) external {
        require(policyHash != 0 && relay().toSigningPolicyHash(epoch) == policyHash, "new signing policy hash invalid");
        require(!isSigned[epoch], "new signing policy already signed");
        bytes32 digest = MessageHashUtils.toEthSignedMessageHash(policyHash);
        address voter = ECDSA.recover(digest, signature.v, signature.r, signature.s);
        uint256 weight = weightOf(epoch - 1, voter);
        require(weight > 0, "signature invalid");
        require(!hasSigned[epoch][voter], "voter already signed");

        hasSigned[epoch][voter] = true;
        signedWeight[epoch] += weight;
        bool isReached = signedWeight[epoch] > policies[epoch - 1].threshold;
        isSigned[epoch] = isReached;
        // A voter's address of identity and the one it signs with are the same here.
        emit SigningPolicySigned(epoch, voter, voter, uint64(block.timestamp), isReached);
    }

    /// @inheritdoc ProtocolsV2Interface
    function firstRewardEpochStartTs() external view returns (uint64) {
        return firstVotingRoundStartTs;
    }

    /// @inheritdoc ProtocolsV2Interface
    function getStartVotingRoundId(uint256 epoch) external view returns (uint32) {
        require(epoch <= lastEpochId, "reward epoch not initialized yet");
        return policies[epoch].startVotingRoundId;
    }

    /// @inheritdoc ProtocolsV2Interface
    /// @dev An epoch begins with its policy's start, which is later than its nominal one when the
    /// policy was set late.
    function getCurrentRewardEpochId() public view returns (uint24 epoch) {
        epoch = lastEpochId;
        if (getCurrentVotingEpochId() < policies[epoch].startVotingRoundId) epoch--;
    }

    /// @inheritdoc ProtocolsV2Interface
    function getCurrentVotingEpochId() public view returns (uint32) {
        return uint32((block.timestamp - firstVotingRoundStartTs) / votingEpochDurationSeconds);
    }

    /// @inheritdoc IFlareSystemsManager
    function getCurrentRewardEpoch() external view returns (uint256) {
        return getCurrentRewardEpochId();
    }

    /// @inheritdoc IFlareSystemsManager
    function getSeed(uint256 epoch) external view returns (uint256) {
        return policies[epoch].seed;
    }

    /// @inheritdoc IFlareSystemsManager
    function getThreshold(uint256 epoch) external view returns (uint16) {
        return policies[epoch].threshold;
    }

    function getVotePowerBlock(uint256) external pure returns (uint64) {
        revert NotOnLocalNetwork();
    }

    function getVoterRegistrationData(uint256) external pure returns (uint256, bool) {
        revert NotOnLocalNetwork();
    }

    function isVoterRegistrationEnabled() external pure returns (bool) {
        return false;
    }

    function submitUptimeVote(uint24, bytes20[] calldata, Signature calldata) external pure {
        revert NotOnLocalNetwork();
    }

    function signUptimeVote(uint24, bytes32, Signature calldata) external pure {
        revert NotOnLocalNetwork();
    }

    function signRewards(uint24, NumberOfWeightBasedClaims[] calldata, bytes32, Signature calldata) external pure {
        revert NotOnLocalNetwork();
    }

    function weightOf(uint256 epoch, address voter) private view returns (uint256) {
        SigningPolicy storage policy = policies[epoch];
        for (uint256 i = 0; i < policy.voters.length; i++) {
            if (policy.voters[i] == voter) return policy.weights[i];
        }
        return 0;
    }

    function relay() private view returns (Relay) {
        return Relay(registry.getContractAddressByName("Relay"));
    }
}
