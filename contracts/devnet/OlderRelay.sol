// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Relay} from "./Relay.sol";

/// @title OlderRelay
/// @notice The local network's stand-in for Flare's first Relay, whose digests no chain id binds.
/// @dev In everything else it is as strict as the second one.
contract OlderRelay is Relay {
    constructor(Config memory initial, address setter) Relay(initial, setter) {}

    /// @dev Filled up with zeros to whole words, which are hashed one after the other.
    function hashOfPolicy(bytes memory policy) internal pure override returns (bytes32 folded) {
        uint256 length = policy.length;
        bytes memory words = abi.encodePacked(policy, bytes32(0));
        folded = wordAt(words, 0);
        for (uint256 at = 32; at < length; at += 32) {
            folded = keccak256(abi.encodePacked(folded, wordAt(words, at)));
        }
    }

    function hashOfMessage(bytes memory message) internal pure override returns (bytes32) {
        return keccak256(message);
    }

    function wordAt(bytes memory words, uint256 at) private pure returns (bytes32 word) {
        assembly {
            word := mload(add(add(words, 32), at))
        }
    }
}
