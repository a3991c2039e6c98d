// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IRelay} from "@flarenetwork/flare-periphery-contracts/coston2/IRelay.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {NotOnLocalNetwork} from "./NotOnLocalNetwork.sol";
import {SigningPolicies, SigningPolicy} from "./SigningPolicies.sol";

/// @title Relay
/// @notice The local network's stand-in for Flare's second Relay, whose digests are bound to the chain
/// id. It keeps the signing policies by their hashes and takes the roots that their voters signed.
/// @dev Calldata of `relay()`: selector, policy, then either a message of 38 bytes (protocol u8, not
/// 0, voting round u32, isSecureRandom u8, root) or 0x00 and a new policy, then the count u16 and the
/// signatures of 67 bytes each (v, r, s, voter index u16). With a policy setter it is a home Relay,
/// as on Flare itself; without one it is a mirror, which takes new policies by relay and hides roots.
contract Relay is IRelay {
    using SigningPolicies for bytes;

    /// @notice The first policy, by its hash, and the numbers of the network.
    /// @param thresholdIncreaseBIPS What the threshold of a policy becomes that outlives its epoch.
    /// @param messageFinalizationWindowInRewardEpochs For how long an old policy may still sign.
    struct Config {
        uint32 initialRewardEpochId;
        uint32 startingVotingRoundIdForInitialRewardEpochId;
        bytes32 initialSigningPolicyHash;
        uint8 randomNumberProtocolId;
        uint32 firstVotingRoundStartTs;
        uint8 votingEpochDurationSeconds;
        uint32 firstRewardEpochStartVotingRoundId;
        uint16 rewardEpochDurationInVotingEpochs;
        uint16 thresholdIncreaseBIPS;
        uint32 messageFinalizationWindowInRewardEpochs;
    }

    error AlreadyRelayed();
    error BadS();
    error BadV();
    error DelayedSignPolicy();
    error IndexOutOfOrder();
    error IndexOutOfRange();
    error MessageTooOld();
    error MustUseNewSignPolicy();
    error NotEnoughSignatures();
    error NotEnoughWeight();
    error NotNextRewardEpoch();
    error NotWithLastInitialized();
    error OnlyOnHome();
    error OnlySigningPolicySetter();
    error SignPolicyRelayDisabled();
    error SigningPolicyHashMismatch();
    error TooShortMessage();
    error WrongMessageFormat2();
    error WrongSignPolicyRewardEpoch();
    error WrongSignature();
    error ZeroMerkleRoot();

    uint256 private constant MESSAGE_SIZE = 38;
    uint256 private constant SIGNATURE_SIZE = 67;
    uint256 private constant CUSTOM_SIGNATURE_PROTOCOL_ID = 1;
    /// @dev Half the order of secp256k1: of the two values of s that fit, the lower one is taken.
    uint256 private constant S_MAX = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// @inheritdoc IRelay
    address public immutable signingPolicySetter;

    /// @inheritdoc IRelay
    mapping(uint256 rewardEpochId => uint256) public startingVotingRoundIds;

    Config private config;
    uint32 private lastRewardEpochId;
    mapping(uint256 rewardEpochId => bytes32) private policyHashes;
    mapping(uint256 protocolId => mapping(uint256 votingRoundId => bytes32)) private roots;

    /// @param initial What it begins with.
    /// @param setter Who sets the later policies; the zero address makes this a mirror.
    constructor(Config memory initial, address setter) {
        config = initial;
        signingPolicySetter = setter;
        uint32 epoch = initial.initialRewardEpochId;
        lastRewardEpochId = epoch;
        policyHashes[epoch] = initial.initialSigningPolicyHash;
        startingVotingRoundIds[epoch] = initial.startingVotingRoundIdForInitialRewardEpochId;
    }

    /// @notice Sets the policy of the next reward epoch. On a home Relay only.
    function setSigningPolicy(SigningPolicy calldata policy) external returns (bytes32 policyHash) {
        require(msg.sender == signingPolicySetter, OnlySigningPolicySetter());
        uint256 total = 0;
        for (uint256 i = 0; i < policy.weights.length; i++) {
            total += policy.weights[i];
        }
        SigningPolicies.checkLimits(policy.voters.length, total, policy.threshold);
        bytes memory packed = SigningPolicies.encode(policy);
        policyHash = hashOfPolicy(packed);
        installPolicy(policy.rewardEpochId, policy.startVotingRoundId, policyHash);
        emit SigningPolicyInitialized(
            policy.rewardEpochId,
            policy.startVotingRoundId,
            policy.threshold,
            policy.seed,
            policy.voters,
            policy.weights,
            packed,
            uint64(block.timestamp)
        );
    }

    /// @inheritdoc IRelay
    function relay() external returns (bytes memory) {
        (bytes calldata policy, bytes calldata rest) = SigningPolicies.split(msg.data[4:]);
        bytes32 policyHash = hashOfPolicy(policy);
        require(policyHashes[policy.rewardEpochId()] == policyHash, SigningPolicyHashMismatch());
        require(rest.length > 0, TooShortMessage());
        if (uint8(rest[0]) == 0) relayPolicy(policy, rest[1:]);
        else relayMessage(policy, rest);
        return "";
    }

    /// @inheritdoc IRelay
    function verify(uint256 protocolId, uint256 votingRoundId, bytes32 leaf, bytes32[] calldata proof)
        external
        payable
        returns (bool)
    {
        bytes32 root = roots[protocolId][votingRoundId];
        return root != 0 && MerkleProof.verifyCalldata(proof, root, leaf);
    }

    /// @inheritdoc IRelay
    function toSigningPolicyHash(uint256 rewardEpochId) external view returns (bytes32) {
        require(isHome(), OnlyOnHome());
        return policyHashes[rewardEpochId];
    }

    /// @inheritdoc IRelay
    function merkleRoots(uint256 protocolId, uint256 votingRoundId) external view returns (bytes32) {
        require(isHome(), OnlyOnHome());
        return roots[protocolId][votingRoundId];
    }

    /// @inheritdoc IRelay
    function isFinalized(uint256 protocolId, uint256 votingRoundId) external view returns (bool) {
        return roots[protocolId][votingRoundId] != 0;
    }

    /// @inheritdoc IRelay
    function getVotingRoundId(uint256 timestamp) external view returns (uint256) {
        require(timestamp >= config.firstVotingRoundStartTs, "before the start");
        return (timestamp - config.firstVotingRoundStartTs) / config.votingEpochDurationSeconds;
    }

    /// @inheritdoc IRelay
    function lastInitializedRewardEpochData() external view returns (uint32, uint32) {
        return (lastRewardEpochId, uint32(startingVotingRoundIds[lastRewardEpochId]));
    }

    /// @inheritdoc IRelay
    /// @dev No random numbers are relayed here, so the two fields about them stay empty.
    function stateData()
        external
        view
        returns (uint8, uint32, uint8, uint32, uint16, uint16, uint32, bool, uint32, bool, uint32)
    {
        return (
            config.randomNumberProtocolId,
            config.firstVotingRoundStartTs,
            config.votingEpochDurationSeconds,
            config.firstRewardEpochStartVotingRoundId,
            config.rewardEpochDurationInVotingEpochs,
            config.thresholdIncreaseBIPS,
            0,
            false,
            lastRewardEpochId,
            isHome(),
            config.messageFinalizationWindowInRewardEpochs
        );
    }

    /// @inheritdoc IRelay
    function feeCollectionAddress() external pure returns (address payable) {
        return payable(address(0));
    }

    /// @inheritdoc IRelay
    /// @dev Home Relays are free, and so is our mirror.
    function protocolFeeInWei(uint256) external pure returns (uint256) {
        return 0;
    }

    function verifyCustomSignature(bytes calldata, bytes32) external pure returns (uint256) {
        revert NotOnLocalNetwork();
    }

    function governanceFeeSetup(bytes calldata, RelayGovernanceConfig calldata) external pure {
        revert NotOnLocalNetwork();
    }

    function getRandomNumber() external pure returns (uint256, bool, uint256) {
        revert NotOnLocalNetwork();
    }

    function getRandomNumberHistorical(uint256) external pure returns (uint256, bool, uint256) {
        revert NotOnLocalNetwork();
    }

    /// @dev What names a policy and is signed for it.
    function hashOfPolicy(bytes memory policy) internal view virtual returns (bytes32) {
        return keccak256(abi.encodePacked(block.chainid, policy));
    }

    /// @dev What is signed for a message.
    function hashOfMessage(bytes memory message) internal view virtual returns (bytes32) {
        return keccak256(abi.encodePacked(block.chainid, message));
    }

    function relayMessage(bytes calldata policy, bytes calldata rest) private {
        require(rest.length >= MESSAGE_SIZE, TooShortMessage());
        bytes calldata message = rest[:MESSAGE_SIZE];
        uint8 protocolId = uint8(message[0]);
        uint32 votingRoundId = uint32(bytes4(message[1:5]));
        bool isSecureRandom = uint8(message[5]) != 0;
        bytes32 root = bytes32(message[6:38]);
        require(protocolId != CUSTOM_SIGNATURE_PROTOCOL_ID, NotOnLocalNetwork());
        require(!isSecureRandom || protocolId == config.randomNumberProtocolId, WrongMessageFormat2());
        require(root != 0, ZeroMerkleRoot());
        require(roots[protocolId][votingRoundId] == 0, AlreadyRelayed());

        uint256 threshold = thresholdFor(policy, votingRoundId);
        checkSignatures(policy, hashOfMessage(message), rest[MESSAGE_SIZE:], threshold);

        roots[protocolId][votingRoundId] = root;
        emit ProtocolMessageRelayed(protocolId, votingRoundId, isSecureRandom, root);
    }

    function relayPolicy(bytes calldata policy, bytes calldata rest) private {
        require(!isHome(), SignPolicyRelayDisabled());
        require(policy.rewardEpochId() == lastRewardEpochId, NotWithLastInitialized());
        (bytes calldata next, bytes calldata signatures) = SigningPolicies.split(rest);
        checkSignatures(policy, installRelayed(next), signatures, policy.threshold());
        emit SigningPolicyRelayed(next.rewardEpochId());
    }

    function installRelayed(bytes calldata policy) private returns (bytes32 policyHash) {
        uint256 count = policy.voterCount();
        uint256 total = 0;
        for (uint256 i = 0; i < count; i++) {
            (, uint256 weight) = policy.voter(i);
            total += weight;
        }
        SigningPolicies.checkLimits(count, total, policy.threshold());
        policyHash = hashOfPolicy(policy);
        installPolicy(policy.rewardEpochId(), policy.startVotingRoundId(), policyHash);
    }

    function installPolicy(uint256 epoch, uint256 start, bytes32 policyHash) private {
        require(epoch == lastRewardEpochId + 1, NotNextRewardEpoch());
        lastRewardEpochId = uint32(epoch);
        startingVotingRoundIds[epoch] = start;
        policyHashes[epoch] = policyHash;
    }

    /// @dev Which policy may sign which round. A policy whose successor is late goes on signing, but
    /// under a raised threshold.
    function thresholdFor(bytes calldata policy, uint256 votingRoundId) private view returns (uint256) {
        uint256 epoch = policy.rewardEpochId();
        uint256 sinceFirst = votingRoundId - config.firstRewardEpochStartVotingRoundId;
        uint256 expected = sinceFirst / config.rewardEpochDurationInVotingEpochs;
        require(expected >= epoch, WrongSignPolicyRewardEpoch());
        uint256 window = config.messageFinalizationWindowInRewardEpochs;
        require(expected + window >= lastRewardEpochId, MessageTooOld());
        require(votingRoundId >= policy.startVotingRoundId(), DelayedSignPolicy());
        if (expected == epoch) return policy.threshold();
        if (epoch == lastRewardEpochId) return policy.threshold() * config.thresholdIncreaseBIPS / 10_000;
        require(votingRoundId < startingVotingRoundIds[epoch + 1], MustUseNewSignPolicy());
        return policy.threshold();
    }

    /// @dev Reads no further than it has to: what follows the signature that passes the threshold may
    /// be anything.
    function checkSignatures(bytes calldata policy, bytes32 pre, bytes calldata data, uint256 threshold) private pure {
        bytes32 digest = MessageHashUtils.toEthSignedMessageHash(pre);
        if (data.length < 2) revert NotEnoughSignatures();
        uint256 count = uint16(bytes2(data[0:2]));
        require(data.length >= 2 + count * SIGNATURE_SIZE, NotEnoughSignatures());
        uint256 weight = 0;
        uint256 nextIndex = 0;
        for (uint256 i = 0; i < count; i++) {
            bytes calldata signature = data[2 + i * SIGNATURE_SIZE:];
            uint256 index = uint16(bytes2(signature[65:67]));
            require(index >= nextIndex, IndexOutOfOrder());
            require(index < policy.voterCount(), IndexOutOfRange());
            nextIndex = index + 1;
            weight += checkSignature(policy, index, digest, signature);
            if (weight > threshold) return;
        }
        revert NotEnoughWeight();
    }

    function checkSignature(bytes calldata policy, uint256 index, bytes32 digest, bytes calldata signature)
        private
        pure
        returns (uint256)
    {
        uint8 v = uint8(signature[0]);
        bytes32 r = bytes32(signature[1:33]);
        bytes32 s = bytes32(signature[33:65]);
        require(v == 27 || v == 28, BadV());
        require(uint256(s) <= S_MAX, BadS());
        (address voter, uint256 weight) = policy.voter(index);
        address signer = ecrecover(digest, v, r, s);
        require(signer != address(0) && signer == voter, WrongSignature());
        return weight;
    }

    function isHome() private view returns (bool) {
        return signingPolicySetter != address(0);
    }
}
