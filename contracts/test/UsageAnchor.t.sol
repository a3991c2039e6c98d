// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {UsageAnchor} from "../UsageAnchor.sol";
import {IUsageAnchor, UsageBatch} from "../interfaces/IUsageAnchor.sol";
import {Vm, vm} from "./Vm.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @dev Says the digest again, from the words of the format and not from the contract's constants.
contract UsageAnchorTest {
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    UsageAnchor private anchor;
    string private vectors;

    function setUp() public {
        vectors = vm.readFile("test/vectors/formats.json");
        // The contract's code at the address of the vectors: its domain is then that of the vectors.
        address at = vm.parseJsonAddress(vectors, ".signature.domain.verifyingContract");
        vm.etch(at, address(new UsageAnchor()).code);
        anchor = UsageAnchor(at);
    }

    // The vectors.

    function test_digestOfTheVectors() public view {
        bytes32 digest = vm.parseJsonBytes32(vectors, ".signature.digest");
        require(digestOf(vectorBatch()) == digest, "another digest");
    }

    function test_signatureOfTheVectors() public view {
        uint256 key = vm.parseJsonUint(vectors, ".signature.privateKey");
        bytes memory signature = vm.parseJsonBytes(vectors, ".signature.signature");
        require(keccak256(signed(key, vectorBatch())) == keccak256(signature), "another signature");
    }

    function test_eventOfTheVectors() public {
        UsageBatch memory batch = vectorBatch();
        address meter = vm.parseJsonAddress(vectors, ".signature.meter");
        putLast(meter, batch.seq - 1, batch.prevRoot);
        vm.recordLogs();
        anchor.anchor(batch, vm.parseJsonBytes(vectors, ".signature.signature"));

        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1 && logs[0].emitter == address(anchor), "another number of events");
        bytes32[] memory topics = vm.parseJsonBytes32Array(vectors, ".anchorEvent.topics");
        require(keccak256(abi.encode(logs[0].topics)) == keccak256(abi.encode(topics)), "other topics");
        bytes memory data = vm.parseJsonBytes(vectors, ".anchorEvent.data");
        require(keccak256(logs[0].data) == keccak256(data), "other data");
        requireLast(meter, batch.seq, batch.root);
    }

    function test_targetOfTheVectors() public view {
        bytes memory preimage = "flow:emulator:f8d6e0586b0a20c7";
        require(vectorBatch().target == keccak256(preimage), "another target");
    }

    // Order.

    function test_takesAMetersBatchesInOrder() public {
        send(1, next(0, 0, "one"));
        send(1, next(1, "one", "two"));
        send(1, next(2, "two", "three"));
        requireLast(vm.addr(1), 3, "three");
    }

    function test_takesTheSameRootAgain() public {
        send(1, next(0, 0, "same"));
        send(1, next(1, "same", "same"));
        requireLast(vm.addr(1), 2, "same");
    }

    function test_refusesTheSameBatchTwice() public {
        UsageBatch memory batch = next(0, 0, "one");
        send(1, batch);
        refuse(1, batch, abi.encodeWithSelector(IUsageAnchor.SeqNotNext.selector, 2, 1));
        requireLast(vm.addr(1), 1, "one");
    }

    function test_refusesASecondStory() public {
        send(1, next(0, 0, "one"));
        refuse(1, next(0, 0, "other"), abi.encodeWithSelector(IUsageAnchor.SeqNotNext.selector, 2, 1));
    }

    function test_refusesAGap() public {
        refuse(1, next(1, 0, "two"), abi.encodeWithSelector(IUsageAnchor.SeqNotNext.selector, 1, 2));
    }

    function test_refusesNumberZero() public {
        UsageBatch memory batch = next(0, 0, "one");
        batch.seq = 0;
        refuse(1, batch, abi.encodeWithSelector(IUsageAnchor.SeqNotNext.selector, 1, 0));
    }

    function test_refusesAFirstBatchWithAPreviousRoot() public {
        bytes32 zero = 0;
        bytes32 ghost = "ghost";
        refuse(1, next(0, ghost, "one"), abi.encodeWithSelector(IUsageAnchor.PrevRootNotLast.selector, zero, ghost));
    }

    function test_refusesAnotherPreviousRoot() public {
        bytes32 last = "one";
        bytes32 other = "other";
        send(1, next(0, 0, last));
        refuse(1, next(1, other, "two"), abi.encodeWithSelector(IUsageAnchor.PrevRootNotLast.selector, last, other));
    }

    function test_refusesToCountPastTheLastNumber() public {
        putLast(vm.addr(1), type(uint64).max, "last");
        refuse(1, next(0, "last", "one"), abi.encodeWithSignature("Panic(uint256)", 0x11));
    }

    // Meters.

    function test_metersDoNotTouchEachOther() public {
        send(1, next(0, 0, "a1"));
        send(2, next(0, 0, "b1"));
        send(2, next(1, "b1", "b2"));
        send(1, next(1, "a1", "a2"));
        requireLast(vm.addr(1), 2, "a2");
        requireLast(vm.addr(2), 2, "b2");
    }

    function test_anybodyMaySend() public {
        UsageBatch memory batch = next(0, 0, "one");
        bytes memory signature = signed(1, batch);
        vm.prank(address(0xBEEF));
        anchor.anchor(batch, signature);
        requireLast(vm.addr(1), 1, "one");
    }

    function testFuzz_forgedSignatureTouchesNobody(uint256 seed, bytes32 root) public {
        uint256 forger = 2 + seed % (ORDER - 2);
        vm.assume(vm.addr(forger) != vm.addr(1));
        send(1, next(0, 0, "one"));
        // A first batch is all that a key without a history can have signed.
        send(forger, next(0, 0, root));
        requireLast(vm.addr(1), 1, "one");
        requireLast(vm.addr(forger), 1, root);
    }

    function testFuzz_anyChangeOfTheHeaderIsAnotherSigner(uint8 field, uint256 change) public {
        send(1, next(0, 0, "one"));
        UsageBatch memory batch = next(1, "one", "two");
        bytes memory signature = signed(1, batch);
        vm.assume(uint64(change) != 0);
        alter(batch, field % 6, change);
        // Whoever it now recovers to is at batch 1 without a root, so a second batch is refused.
        (bool isTaken,) = address(anchor).call(abi.encodeCall(anchor.anchor, (batch, signature)));
        require(!isTaken, "taken");
        requireLast(vm.addr(1), 1, "one");
    }

    function testFuzz_everyOrderlyHistoryIsTaken(bytes32[8] memory roots, uint256 seed) public {
        uint256 key = 1 + seed % (ORDER - 1);
        bytes32 last = 0;
        for (uint64 i = 0; i < roots.length; i++) {
            send(key, next(i, last, roots[i]));
            last = roots[i];
        }
        requireLast(vm.addr(key), uint64(roots.length), last);
    }

    // Signatures.

    function test_refusesTheHighTwinOfASignature() public {
        UsageBatch memory batch = next(0, 0, "one");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(1, digestOf(batch));
        bytes32 high = bytes32(ORDER - uint256(s));
        bytes memory twin = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, high));
        anchor.anchor(batch, twin);
    }

    function test_refusesASignatureOfNobody() public {
        UsageBatch memory batch = next(0, 0, "one");
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector));
        anchor.anchor(batch, new bytes(65));
    }

    function test_refusesAShortSignature() public {
        UsageBatch memory batch = next(0, 0, "one");
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 64));
        anchor.anchor(batch, new bytes(64));
    }

    function test_anotherContractIsAnotherDomain() public {
        UsageAnchor elsewhere = new UsageAnchor();
        send(1, next(0, 0, "one"));
        UsageBatch memory batch = next(1, "one", "two");
        bytes memory signature = signed(1, batch);
        (bool isTaken,) = address(elsewhere).call(abi.encodeCall(anchor.anchor, (batch, signature)));
        require(!isTaken, "taken");
        anchor.anchor(batch, signature);
    }

    // What the tests say and ask.

    function next(uint64 last, bytes32 prevRoot, bytes32 root) private pure returns (UsageBatch memory) {
        return UsageBatch(last + 1, root, prevRoot, 1_790_283_600, "target", "manifest");
    }

    function send(uint256 key, UsageBatch memory batch) private {
        anchor.anchor(batch, signed(key, batch));
    }

    function refuse(uint256 key, UsageBatch memory batch, bytes memory reason) private {
        bytes memory signature = signed(key, batch);
        vm.expectRevert(reason);
        anchor.anchor(batch, signature);
    }

    function requireLast(address meter, uint64 seq, bytes32 root) private view {
        require(anchor.lastSeq(meter) == seq, "another last number");
        require(anchor.lastRoot(meter) == root, "another last root");
    }

    function signed(uint256 key, UsageBatch memory batch) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digestOf(batch));
        return abi.encodePacked(r, s, v);
    }

    function alter(UsageBatch memory batch, uint8 field, uint256 change) private pure {
        if (field == 0) batch.seq ^= uint64(change);
        if (field == 1) batch.root ^= bytes32(change);
        if (field == 2) batch.prevRoot ^= bytes32(change);
        if (field == 3) batch.sealedAt ^= uint64(change);
        if (field == 4) batch.target ^= bytes32(change);
        if (field == 5) batch.manifest ^= bytes32(change);
    }

    /// @dev Writes a meter's history into storage: `lastSeq` is slot 2 and `lastRoot` slot 3, after
    /// the two fallback strings of EIP712.
    function putLast(address meter, uint64 seq, bytes32 root) private {
        vm.store(address(anchor), keccak256(abi.encode(meter, 2)), bytes32(uint256(seq)));
        vm.store(address(anchor), keccak256(abi.encode(meter, 3)), root);
        requireLast(meter, seq, root);
    }

    function vectorBatch() private view returns (UsageBatch memory) {
        return UsageBatch({
            seq: uint64(vm.parseJsonUint(vectors, ".header.seq")),
            root: vm.parseJsonBytes32(vectors, ".header.root"),
            prevRoot: vm.parseJsonBytes32(vectors, ".header.prevRoot"),
            sealedAt: uint64(vm.parseJsonUint(vectors, ".header.sealedAt")),
            target: vm.parseJsonBytes32(vectors, ".header.target"),
            manifest: vm.parseJsonBytes32(vectors, ".header.manifest")
        });
    }

    function digestOf(UsageBatch memory batch) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Flowmeter"),
                keccak256("1"),
                114,
                address(anchor)
            )
        );
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256(
                    "UsageBatch(uint64 seq,bytes32 root,bytes32 prevRoot,uint64 sealedAt,bytes32 target,bytes32 manifest)"
                ),
                batch.seq,
                batch.root,
                batch.prevRoot,
                batch.sealedAt,
                batch.target,
                batch.manifest
            )
        );
        return MessageHashUtils.toTypedDataHash(domain, structHash);
    }
}
