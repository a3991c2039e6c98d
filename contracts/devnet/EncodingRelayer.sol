// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title EncodingRelayer
/// @notice What a stranger may relay rounds through so that nobody reads policy, message or signatures
/// in the transaction's input: every byte of the call is inverted there.
contract EncodingRelayer {
    /// @param inverted The calldata of `relay()`, each byte inverted.
    function forward(address relay, bytes calldata inverted) external {
        bytes memory data = inverted;
        for (uint256 i = 0; i < data.length; i++) {
            data[i] = ~data[i];
        }
        (bool isTaken,) = relay.call(data);
        require(isTaken, "the Relay refused");
    }
}
