// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {IUsageAnchor, UsageBatch} from "./interfaces/IUsageAnchor.sol";

/// @title UsageAnchor
/// @notice See the documentation in {IUsageAnchor}.
/// @dev Has no owner and cannot change. Serves any number of meters, which cannot touch each other.
contract UsageAnchor is IUsageAnchor, EIP712 {
    bytes32 private constant BATCH_TYPEHASH = keccak256(
        "UsageBatch(uint64 seq,bytes32 root,bytes32 prevRoot,uint64 sealedAt,bytes32 target,bytes32 manifest)"
    );

    /// @inheritdoc IUsageAnchor
    mapping(address meter => uint64 seq) public lastSeq;

    /// @inheritdoc IUsageAnchor
    mapping(address meter => bytes32 root) public lastRoot;

    constructor() EIP712("Flowmeter", "1") {}

    /// @inheritdoc IUsageAnchor
    function anchor(UsageBatch calldata batch, bytes calldata signature) external {
        // A forged signature recovers to an address that is nobody's meter, and touches only it.
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(BATCH_TYPEHASH, batch)));
        address meter = ECDSA.recoverCalldata(digest, signature);
        uint64 next = lastSeq[meter] + 1;
        bytes32 last = lastRoot[meter];
        require(batch.seq == next, SeqNotNext(next, batch.seq));
        require(batch.prevRoot == last, PrevRootNotLast(last, batch.prevRoot));

        lastSeq[meter] = batch.seq;
        lastRoot[meter] = batch.root;
        emit UsageBatchAnchored(
            meter, batch.seq, batch.root, batch.prevRoot, batch.sealedAt, batch.target, batch.manifest
        );
    }
}
