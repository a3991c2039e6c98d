// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice Thrown by members of Flare's interfaces that the local network leaves out.
error NotOnLocalNetwork();
