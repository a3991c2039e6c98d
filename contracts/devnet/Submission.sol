// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ISubmission} from "@flarenetwork/flare-periphery-contracts/coston2/ISubmission.sol";

import {NotOnLocalNetwork} from "./NotOnLocalNetwork.sol";

/// @title Submission
/// @notice The local network's stand-in: providers call it, and each other's input is what they read.
/// @dev As on Flare it takes whatever follows the selector, from anybody. The answer there says whether
/// the caller is a provider who calls for the first time in a round; here it is always no.
contract Submission is ISubmission {
    function submit1() external pure returns (bool) {
        return false;
    }

    function submit2() external pure returns (bool) {
        return false;
    }

    function submit3() external pure returns (bool) {
        return false;
    }

    /// @inheritdoc ISubmission
    function submitSignatures() external pure returns (bool) {
        return false;
    }

    function submitAndPass(bytes calldata) external pure returns (bool) {
        revert NotOnLocalNetwork();
    }

    function getCurrentRandom() external pure returns (uint256) {
        revert NotOnLocalNetwork();
    }

    function getCurrentRandomWithQuality() external pure returns (uint256, bool) {
        revert NotOnLocalNetwork();
    }

    function getCurrentRandomWithQualityAndTimestamp() external pure returns (uint256, bool, uint256) {
        revert NotOnLocalNetwork();
    }
}
