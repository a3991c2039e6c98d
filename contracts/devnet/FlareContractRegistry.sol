// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IFlareContractRegistry} from "@flarenetwork/flare-periphery-contracts/coston2/IFlareContractRegistry.sol";

/// @title FlareContractRegistry
/// @notice The local network's stand-in. Its code is placed at the address that the registry has on
/// all of Flare's networks, so its constructor never runs there and `governance` is written to slot 0.
contract FlareContractRegistry is IFlareContractRegistry {
    /// @notice Who may name contracts.
    address public governance;

    string[] private names;
    mapping(bytes32 nameHash => address) private addresses;

    /// @notice Gives a name to a contract, or moves the name to another one.
    /// @param name As Flare's registry spells it, such as "FdcHub".
    /// @param at Where the contract is.
    function register(string calldata name, address at) external {
        require(msg.sender == governance, "only governance");
        bytes32 nameHash = keccak256(abi.encode(name));
        if (addresses[nameHash] == address(0)) names.push(name);
        addresses[nameHash] = at;
    }

    /// @inheritdoc IFlareContractRegistry
    function getContractAddressByName(string calldata name) external view returns (address) {
        return addresses[keccak256(abi.encode(name))];
    }

    /// @inheritdoc IFlareContractRegistry
    function getContractAddressByHash(bytes32 nameHash) external view returns (address) {
        return addresses[nameHash];
    }

    /// @inheritdoc IFlareContractRegistry
    function getContractAddressesByName(string[] calldata wanted) external view returns (address[] memory found) {
        found = new address[](wanted.length);
        for (uint256 i = 0; i < wanted.length; i++) {
            found[i] = addresses[keccak256(abi.encode(wanted[i]))];
        }
    }

    /// @inheritdoc IFlareContractRegistry
    function getContractAddressesByHash(bytes32[] calldata hashes) external view returns (address[] memory found) {
        found = new address[](hashes.length);
        for (uint256 i = 0; i < hashes.length; i++) {
            found[i] = addresses[hashes[i]];
        }
    }

    /// @inheritdoc IFlareContractRegistry
    function getAllContracts() external view returns (string[] memory, address[] memory found) {
        found = new address[](names.length);
        for (uint256 i = 0; i < names.length; i++) {
            found[i] = addresses[keccak256(abi.encode(names[i]))];
        }
        return (names, found);
    }
}
