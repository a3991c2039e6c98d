// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IEVMTransaction} from "@flarenetwork/flare-periphery-contracts/coston2/IEVMTransaction.sol";
import {
    IEVMTransactionVerification
} from "@flarenetwork/flare-periphery-contracts/coston2/IEVMTransactionVerification.sol";
import {IFlareContractRegistry} from "@flarenetwork/flare-periphery-contracts/coston2/IFlareContractRegistry.sol";
import {IRelay} from "@flarenetwork/flare-periphery-contracts/coston2/IRelay.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @title FdcVerification
/// @notice The local network's stand-in: checks proofs of the one attestation type that we use.
contract FdcVerification is IEVMTransactionVerification {
    IFlareContractRegistry private immutable registry;

    /// @notice FDC's number among the protocols whose roots the Relay keeps.
    uint8 public constant fdcProtocolId = 200;

    constructor(IFlareContractRegistry flareContractRegistry) {
        registry = flareContractRegistry;
    }

    /// @notice The Relay of now: it can be replaced.
    function relay() public view returns (IRelay) {
        return IRelay(registry.getContractAddressByName("Relay"));
    }

    /// @inheritdoc IEVMTransactionVerification
    /// @dev As on Flare, the source is not looked at: that is the caller's to do.
    function verifyEVMTransaction(IEVMTransaction.Proof calldata proof) external view returns (bool) {
        bytes32 root = relay().merkleRoots(fdcProtocolId, proof.data.votingRound);
        bytes32 leaf = keccak256(abi.encode(proof.data));
        return
            proof.data.attestationType == "EVMTransaction" && MerkleProof.verifyCalldata(proof.merkleProof, root, leaf);
    }
}
