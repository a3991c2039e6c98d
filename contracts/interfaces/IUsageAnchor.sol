// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice The header of a sealed batch, as its meter signs it (EIP-712).
/// @param seq The meter's number of the batch: 1, 2, 3 and so on.
/// @param root The root over the batch's entries.
/// @param prevRoot The root of the meter's previous batch; zero for its first.
/// @param sealedAt When the batch was sealed, in Unix seconds. What the meter says, not checked.
/// @param target The contract on Flow that may take the batch: keccak256 of "flow:<network>:<address>".
/// @param manifest keccak256 of the batch's canonical JSON.
struct UsageBatch {
    uint64 seq;
    bytes32 root;
    bytes32 prevRoot;
    uint64 sealedAt;
    bytes32 target;
    bytes32 manifest;
}

/// @title IUsageAnchor
/// @notice Takes batch headers, each meter's in order, so that no meter can tell two stories.
interface IUsageAnchor {
    /// @notice Thrown when the batch is not the next of its meter.
    /// @param expected The number that the meter's next batch has.
    /// @param actual The number that this batch has.
    error SeqNotNext(uint64 expected, uint64 actual);

    /// @notice Thrown when the batch does not follow the meter's last one.
    /// @param expected The root of the meter's last batch; zero before its first.
    /// @param actual The previous root that this batch names.
    error PrevRootNotLast(bytes32 expected, bytes32 actual);

    /// @notice Emitted once for every batch of a meter, in the order of their numbers.
    /// @param meter Who signed the header.
    /// @param seq The meter's number of the batch.
    /// @param root The root over the batch's entries.
    /// @param prevRoot The root of the meter's previous batch; zero for its first.
    /// @param sealedAt When the batch was sealed, in Unix seconds.
    /// @param target The contract on Flow that may take the batch.
    /// @param manifest keccak256 of the batch's canonical JSON.
    event UsageBatchAnchored(
        address indexed meter,
        uint64 indexed seq,
        bytes32 indexed root,
        bytes32 prevRoot,
        uint64 sealedAt,
        bytes32 target,
        bytes32 manifest
    );

    /// @notice Anchors the next batch of the meter that signed it. Anybody may send it.
    /// @param batch The header.
    /// @param signature The meter's, over the EIP-712 digest of the header: r, s and v, 65 bytes.
    function anchor(UsageBatch calldata batch, bytes calldata signature) external;

    /// @notice The number of the meter's last batch; 0 before its first.
    /// @param meter The address of the key that signs the batches.
    function lastSeq(address meter) external view returns (uint64 seq);

    /// @notice The root of the meter's last batch; zero before its first.
    /// @param meter The address of the key that signs the batches.
    function lastRoot(address meter) external view returns (bytes32 root);
}
