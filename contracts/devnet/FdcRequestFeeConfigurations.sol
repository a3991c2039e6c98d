// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {
    IFdcRequestFeeConfigurations
} from "@flarenetwork/flare-periphery-contracts/coston2/IFdcRequestFeeConfigurations.sol";

/// @title FdcRequestFeeConfigurations
/// @notice The local network's stand-in: what a request costs, by its type and source.
contract FdcRequestFeeConfigurations is IFdcRequestFeeConfigurations {
    address private immutable governance = msg.sender;
    mapping(bytes32 typeAndSource => uint256 fee) private fees;

    /// @notice Sets the fee of a type and source, which supports them.
    /// @param fee In wei, above zero.
    function setTypeAndSourceFee(bytes32 attestationType, bytes32 source, uint256 fee) external {
        require(msg.sender == governance, "only governance");
        require(fee > 0, "Fee must be greater than 0");
        fees[keccak256(abi.encodePacked(attestationType, source))] = fee;
        emit TypeAndSourceFeeSet(attestationType, source, fee);
    }

    /// @inheritdoc IFdcRequestFeeConfigurations
    /// @dev Looks at type and source alone: a request with a wrong body is priced like any other.
    function getRequestFee(bytes calldata data) external view returns (uint256 fee) {
        require(data.length >= 64, "Request data too short, should at least specify type and source");
        fee = fees[keccak256(data[:64])];
        require(fee > 0, "Type and source combination not supported");
    }
}
