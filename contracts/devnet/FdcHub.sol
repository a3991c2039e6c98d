// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IFdcHub} from "@flarenetwork/flare-periphery-contracts/coston2/IFdcHub.sol";
import {
    IFdcInflationConfigurations
} from "@flarenetwork/flare-periphery-contracts/coston2/IFdcInflationConfigurations.sol";
import {
    IFdcRequestFeeConfigurations
} from "@flarenetwork/flare-periphery-contracts/coston2/IFdcRequestFeeConfigurations.sol";

/// @title FdcHub
/// @notice The local network's stand-in: takes attestation requests with their fee.
contract FdcHub is IFdcHub {
    /// @inheritdoc IFdcHub
    IFdcRequestFeeConfigurations public immutable fdcRequestFeeConfigurations;

    /// @inheritdoc IFdcHub
    uint8 public constant requestsOffsetSeconds = 0;

    /// @inheritdoc IFdcHub
    /// @dev There is no inflation here.
    IFdcInflationConfigurations public constant fdcInflationConfigurations = IFdcInflationConfigurations(address(0));

    constructor(IFdcRequestFeeConfigurations feeConfigurations) {
        fdcRequestFeeConfigurations = feeConfigurations;
    }

    /// @inheritdoc IFdcHub
    /// @dev What is paid too much is not given back, and the event carries all of it.
    function requestAttestation(bytes calldata data) external payable {
        uint256 fee = fdcRequestFeeConfigurations.getRequestFee(data);
        require(msg.value >= fee, "fee to low, call getRequestFee to get the required fee amount");
        emit AttestationRequest(data, msg.value);
    }
}
