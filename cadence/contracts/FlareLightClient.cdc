/// FlareLightClient
///
/// Knows what Flare's data providers have signed. It starts from one trusted signing policy (the
/// checkpoint), takes each next policy when enough of the last one's voters have signed it, and
/// takes the Merkle root of a voting round when enough voters of the policy that serves the round
/// have signed that. Anybody may bring policies and roots.
///
/// Whatever it cannot decide it refuses: a round whose policy is not known, no longer kept, or
/// poisoned proves nothing.
///
access(all) contract FlareLightClient {

    /// Allows proposing a new checkpoint
    access(all) entitlement Govern

    /// Emitted when a signing policy is installed. The first one is the checkpoint.
    access(all) event PolicyInstalled(
        epoch: UInt32, startRound: UInt32, threshold: UInt16, voters: Int, hash: UInt256
    )

    /// Emitted when a round gets its root
    access(all) event RootAccepted(
        round: UInt32, merkleRoot: UInt256, epoch: UInt32, weight: UInt256
    )

    /// Emitted when a round gets a second root with enough signatures: Flare's voters told two
    /// stories, so the round proves nothing any more
    access(all) event RoundPoisoned(round: UInt32, merkleRoot: UInt256, other: UInt256)

    /// Emitted when governance asks for a new start. Whoever disagrees has until `adoptableAt`.
    access(all) event CheckpointProposed(epoch: UInt32, hash: UInt256, adoptableAt: UFix64)

    /// Emitted when a proposed checkpoint is taken back
    access(all) event CheckpointCancelled(epoch: UInt32, hash: UInt256)

    /// Emitted when all policies and roots gave way to a new checkpoint
    access(all) event CheckpointAdopted(epoch: UInt32, hash: UInt256)

    /// Where the contract account keeps its Governor
    access(all) let GovernorPath: StoragePath

    /// Flare's chain id. It is part of what voters sign.
    access(all) let chainId: UInt64

    /// Nominal start of reward epoch 0, in voting rounds
    access(all) let firstEpochStartRound: UInt32

    /// Nominal length of a reward epoch, in voting rounds
    access(all) let roundsPerEpoch: UInt32

    /// How many policies are kept. Old keys may leak: the shorter, the less they are worth.
    access(all) let epochsKept: UInt32

    /// Seconds that a proposed checkpoint waits
    access(all) let checkpointDelay: UFix64

    /// First round whose message is bound to the chain id; before it, the older digest counts
    access(all) let boundMessageFromRound: UInt32

    /// First epoch whose policy is bound to the chain id; before it, the older digest counts
    access(all) let boundPolicyFromEpoch: UInt32

    /// Lowest and highest epoch whose policy is kept; all between them are kept too
    access(all) var firstEpoch: UInt32
    access(all) var lastEpoch: UInt32

    access(self) var policies: {UInt32: Policy}

    access(self) var checkpoint: Checkpoint?

    /// Room for later versions: an upgrade cannot add fields
    access(self) let extensions: {String: AnyStruct}

    /// Policy
    ///
    /// The voters of one reward epoch, and the roots of the rounds that they serve.
    ///
    access(all) struct Policy {
        access(all) let epoch: UInt32
        access(all) let startRound: UInt32

        /// Signatures must weigh more than this
        access(all) let threshold: UInt16

        /// address << 16 | weight: one integer a voter is far cheaper to read than a struct
        access(all) let voters: [UInt256]

        /// What the policy before it signed
        access(all) let hash: UInt256

        /// How many voters it says it has, and what they weigh together
        access(all) let votersStated: Int
        access(all) let total: UInt256

        access(contract) let roots: {UInt32: UInt256}

        /// The second root of rounds that have one
        access(contract) let poisoned: {UInt32: UInt256}

        /// Reads numVoters u16, epoch u24, startRound u32, threshold u16, seed 32 bytes, and for
        /// each voter its address and weight u16. What is read may be no policy: see `problem`.
        ///
        /// All of it here, since an array that is passed on is copied.
        ///
        /// @param text the bytes as hex, without 0x
        /// @param chainId is part of the hash, from the epoch `boundFromEpoch` on
        ///
        init(_ text: String, chainId: UInt64, boundFromEpoch: UInt32) {
            let bytes = text.decodeHex()
            let length = bytes.length
            if length <= 43 || (length - 43) % 22 != 0 || length > 43 + 22 * 300 {
                panic("FlareLightClient.Policy.init: \(length) bytes are no signing policy")
            }
            let head = UInt128.fromBigEndianBytes(bytes.slice(from: 0, upTo: 11))!
            let epoch = UInt32(head >> 48 & 0xffffff)
            self.votersStated = Int(head >> 72)
            self.epoch = epoch
            self.startRound = UInt32(head >> 16 & 0xffffffff)
            self.threshold = UInt16(head & 0xffff)
            self.hash = epoch >= boundFromEpoch
                ? UInt256.fromBigEndianBytes(HashAlgorithm.KECCAK_256.hash(
                    UInt256(chainId).toBigEndianBytes().concat(bytes)
                ))!
                : FlareLightClient.foldedHash(bytes)
            self.roots = {}
            self.poisoned = {}

            self.voters = []
            let voters = &self.voters as auth(Insert) &[UInt256]
            var total: UInt256 = 0
            var at = 43
            while at < length {
                let voter = UInt256.fromBigEndianBytes(bytes.slice(from: at, upTo: at + 22))!
                total = total + (voter & 0xffff)
                voters.append(voter)
                at = at + 22
            }
            self.total = total
        }

        /// Why Flare would not set such a policy; nil: it might
        ///
        access(all) view fun problem(): String? {
            if self.votersStated != self.voters.length {
                return "It says \(self.votersStated) voters and lists \(self.voters.length)"
            }
            if self.total >= 65536 {
                return "The weights add up to \(self.total), not below 65536"
            }
            // Flare's own limits: at least 50 %, at most 66 %.
            let threshold = UInt256(self.threshold)
            if threshold * 2 < self.total || threshold * 100 > self.total * 66 {
                return "A threshold of \(threshold) does not fit a weight of \(self.total)"
            }
            return nil
        }

        /// Weighs signatures of a hash. A pure function of the policy and of what it is given.
        ///
        /// Keys and signatures have to be whole bytes in hexadecimal: at anything else `decodeHex`
        /// panics, and a check before it would cost forty times as much. Upper case reads as the same
        /// bytes. Bytes too few or too many are no key of the voter, or no signature of it.
        ///
        /// @param signers positions in the policy, ascending
        /// @param publicKeys, signatures of each signer: x and y, r and s, as 128 hex digits
        ///
        access(all) view fun weigh(
            _ hash: UInt256, signers: [UInt16], publicKeys: [String], signatures: [String]
        ): Verdict {
            let count = signers.length
            if publicKeys.length != count || signatures.length != count {
                return Verdict(0, "\(count) signers, \(publicKeys.length) keys and \(signatures.length) signatures")
            }
            // As Ethereum wallets sign 32 bytes (EIP-191).
            let message = "\u{19}Ethereum Signed Message:\n32".utf8.concat(hash.toBigEndianBytes())
            let voters = &self.voters as &[UInt256]
            let total = voters.length
            var weight: UInt256 = 0
            var next = 0
            for i, signer in signers {
                let index = Int(signer)
                if index < next || index >= total {
                    return Verdict(weight, "Signer \(index) is out of order, or not one of \(total)")
                }
                let voter = voters[index]
                let bytes = publicKeys[i].decodeHex()
                // The address is the end of the key's hash, so a key off the curve, or of another
                // length, is found out here.
                let hashed = UInt256.fromBigEndianBytes(HashAlgorithm.KECCAK_256.hash(bytes))!
                if hashed & 0xffffffffffffffffffffffffffffffffffffffff != voter >> 16 {
                    return Verdict(weight, "The public key is not that of voter \(index)")
                }
                let key = PublicKey(
                    publicKey: bytes,
                    signatureAlgorithm: SignatureAlgorithm.ECDSA_secp256k1
                )
                let isSigned = key.verify(
                    signature: signatures[i].decodeHex(),
                    signedData: message,
                    domainSeparationTag: "",
                    hashAlgorithm: HashAlgorithm.KECCAK_256
                )
                if !isSigned {
                    return Verdict(weight, "The signature is not one of voter \(index)")
                }
                weight = weight + (voter & 0xffff)
                next = index + 1
            }
            return weight > UInt256(self.threshold)
                ? Verdict(weight, nil)
                : Verdict(weight, "A weight of \(weight) is not above the threshold of \(self.threshold)")
        }

        /// The root that proves something in a round: none if the round is poisoned
        ///
        access(all) view fun provenRoot(round: UInt32): UInt256? {
            return self.poisoned[round] == nil ? self.roots[round] : nil
        }

        access(contract) fun setRoot(round: UInt32, root: UInt256) {
            self.roots[round] = root
        }

        /// The rounds that have two roots
        ///
        access(all) view fun poisonedRounds(): [UInt32] {
            return self.poisoned.keys
        }

        access(contract) fun poison(round: UInt32, other: UInt256) {
            self.poisoned[round] = other
        }
    }

    /// Verdict
    ///
    /// What signatures weigh, and whether that is enough.
    ///
    access(all) struct Verdict {

        /// Of the signatures that were looked at
        access(all) let weight: UInt256

        /// Why they do not count; nil: they do
        access(all) let refusal: String?

        view init(_ weight: UInt256, _ refusal: String?) {
            self.weight = weight
            self.refusal = refusal
        }
    }

    /// Checkpoint
    ///
    /// A policy that governance asks to start from anew.
    ///
    access(all) struct Checkpoint {
        access(all) let policy: Policy

        /// Unix seconds
        access(all) let adoptableAt: UFix64

        view init(policy: Policy, adoptableAt: UFix64) {
            self.policy = policy
            self.adoptableAt = adoptableAt
        }
    }

    /// Governor
    ///
    /// Gets the client going again when Flare moved on without signatures that it could follow.
    ///
    access(all) resource Governor {

        /// Proposes a policy to start from anew. It replaces an older proposal.
        ///
        /// @param policy its bytes, as hex
        ///
        access(Govern) fun proposeCheckpoint(_ policy: String) {
            let parsed = FlareLightClient.parsePolicy(policy)
            FlareLightClient.checkPolicy(&parsed as &Policy)
            let adoptableAt = getCurrentBlock().timestamp + FlareLightClient.checkpointDelay
            FlareLightClient.checkpoint = Checkpoint(policy: parsed, adoptableAt: adoptableAt)
            emit CheckpointProposed(
                epoch: parsed.epoch,
                hash: parsed.hash,
                adoptableAt: adoptableAt
            )
        }

        /// Takes the proposal back
        ///
        access(Govern) fun cancelCheckpoint() {
            let checkpoint = FlareLightClient.checkpoint
                ?? panic("FlareLightClient.Governor.cancelCheckpoint: There is no proposal")
            FlareLightClient.checkpoint = nil
            emit CheckpointCancelled(
                epoch: checkpoint.policy.epoch,
                hash: checkpoint.policy.hash
            )
        }
    }

    /// Starts anew from the proposed checkpoint, once its delay is over. Anybody may.
    ///
    access(all) fun adoptCheckpoint() {
        let checkpoint = self.checkpoint
            ?? panic("FlareLightClient.adoptCheckpoint: There is no proposal")
        let now = getCurrentBlock().timestamp
        assert(
            now >= checkpoint.adoptableAt,
            message: "FlareLightClient.adoptCheckpoint: It may be adopted from \(checkpoint.adoptableAt) on, and it is \(now)"
        )
        let policy = checkpoint.policy
        // Else a forgotten proposal could bring back old voters, whose keys may have leaked.
        assert(
            policy.epoch > self.lastEpoch,
            message: "FlareLightClient.adoptCheckpoint: Epoch \(policy.epoch) is not after \(self.lastEpoch)"
        )
        self.checkpoint = nil
        self.policies = {policy.epoch: policy}
        self.firstEpoch = policy.epoch
        self.lastEpoch = policy.epoch
        emit CheckpointAdopted(epoch: policy.epoch, hash: policy.hash)
    }

    /// Installs the next signing policy, signed by voters of the last one. Anybody may bring it.
    ///
    /// @param policy its bytes, as hex without 0x: looking for 0x in a text of thousands of digits
    /// costs as much as reading a signature
    /// @param signers positions in the last policy, ascending
    /// @param publicKeys x and y of each signer's key, as 128 hex digits
    /// @param signatures r and s of each signer, as 128 hex digits
    ///
    access(all) fun submitPolicy(
        _ policy: String, signers: [UInt16], publicKeys: [String], signatures: [String]
    ) {
        // Stored at once and checked there: a copy costs as much as reading it. A panic undoes it.
        let epoch = self.lastEpoch + 1
        self.policies[epoch] = Policy(
            policy,
            chainId: self.chainId,
            boundFromEpoch: self.boundPolicyFromEpoch
        )
        let next = self.borrowPolicy(epoch: epoch)!
        let last = self.borrowPolicy(epoch: self.lastEpoch)!
        self.checkPolicy(next)
        if next.epoch != epoch {
            panic("FlareLightClient.submitPolicy: Epoch \(next.epoch) does not follow \(last.epoch)")
        }
        if next.startRound <= last.startRound {
            panic("FlareLightClient.submitPolicy: Round \(next.startRound) is not after \(last.startRound)")
        }
        self.checkSignatures(
            by: last,
            over: next.hash,
            signers: signers,
            publicKeys: publicKeys,
            signatures: signatures
        )
        self.lastEpoch = epoch
        self.finishInstall()
    }

    /// Takes the Merkle root of a voting round of FDC. Anybody may bring it.
    ///
    /// A root that is there already is a success. A different one with enough signatures poisons
    /// the round.
    ///
    /// @param signers positions in the policy that serves the round, ascending
    /// @param publicKeys x and y of each signer's key, as 128 hex digits
    /// @param signatures r and s of each signer, as 128 hex digits
    ///
    access(all) fun submitRoot(
        round: UInt32, root: UInt256,
        signers: [UInt16], publicKeys: [String], signatures: [String]
    ) {
        pre {
            root != 0: "FlareLightClient.submitRoot: Zero is no root"
        }
        let epoch = self.epochServing(round: round)
            ?? panic("FlareLightClient.submitRoot: No policy from \(self.firstEpoch) to \(self.lastEpoch) serves round \(round)")
        let policy = self.borrowPolicy(epoch: epoch)!
        let known = policy.roots[round]
        if known == root {
            return
        }
        let isBound = round >= self.boundMessageFromRound
        let weight = self.checkSignatures(
            by: policy,
            over: self.messageHash(round: round, root: root, chainId: isBound ? self.chainId : nil),
            signers: signers,
            publicKeys: publicKeys,
            signatures: signatures
        )
        if known != nil {
            policy.poison(round: round, other: root)
            emit RoundPoisoned(round: round, merkleRoot: known!, other: root)
            return
        }
        policy.setRoot(round: round, root: root)
        emit RootAccepted(round: round, merkleRoot: root, epoch: epoch, weight: weight)
    }

    /// Whether a leaf is in the tree of a round
    ///
    /// The caller must have built the leaf from more than 64 bytes: inner nodes of Flare's trees
    /// are hashes of 64 bytes, and would pass as leaves.
    ///
    access(all) view fun isProven(round: UInt32, leaf: UInt256, proof: [UInt256]): Bool {
        if let epoch = self.epochServing(round: round) {
            let root = self.borrowPolicy(epoch: epoch)!.provenRoot(round: round)
            return root != nil && self.rootFromPath(leaf, proof) == root
        }
        return false
    }

    /// The root of a round; nil: none was brought, or it is not kept any more
    ///
    access(all) view fun rootOf(round: UInt32): UInt256? {
        if let epoch = self.epochServing(round: round) {
            return self.borrowPolicy(epoch: epoch)!.roots[round]
        }
        return nil
    }

    /// Whether a round has two roots
    ///
    access(all) view fun isPoisoned(round: UInt32): Bool {
        if let epoch = self.epochServing(round: round) {
            return self.borrowPolicy(epoch: epoch)!.poisoned[round] != nil
        }
        return false
    }

    /// The epoch whose policy serves a round: start(r) <= round < start(r + 1)
    ///
    /// The next epoch may begin later than it nominally does, so after the nominal start of epoch
    /// r + 1 only policy r + 1 can tell whether r still serves: without it the answer is nil.
    ///
    access(all) view fun epochServing(round: UInt32): UInt32? {
        if round < self.lowestRound() || round < self.firstEpochStartRound {
            return nil
        }
        let nominal = (round - self.firstEpochStartRound) / self.roundsPerEpoch
        if nominal < self.firstEpoch {
            return nil
        }
        var epoch = nominal < self.lastEpoch ? nominal : self.lastEpoch
        // It ends at the latest at the first epoch, whose start is the lowest round.
        while round < self.borrowPolicy(epoch: epoch)!.startRound {
            epoch = epoch - 1
        }
        if epoch == self.lastEpoch {
            return nominal == epoch ? epoch : nil
        }
        return round < self.borrowPolicy(epoch: epoch + 1)!.startRound ? epoch : nil
    }

    /// Rounds below are refused
    ///
    access(all) view fun lowestRound(): UInt32 {
        return self.borrowPolicy(epoch: self.firstEpoch)!.startRound
    }

    /// The policy of an epoch; nil: it is not known, or not kept any more
    ///
    access(all) view fun borrowPolicy(epoch: UInt32): &Policy? {
        return &self.policies[epoch]
    }

    /// The proposed checkpoint, if there is one
    ///
    access(all) view fun proposal(): Checkpoint? {
        return self.checkpoint
    }

    /// Follows a path up a tree of sorted pairs: node = keccak(min(a, b) ‖ max(a, b)). Flare's
    /// trees and ours are folded alike.
    ///
    access(all) view fun rootFromPath(_ start: UInt256, _ path: [UInt256]): UInt256 {
        var node = start
        for sibling in path {
            node = UInt256.fromBigEndianBytes(HashAlgorithm.KECCAK_256.hash(
                node < sibling
                    ? node.toBigEndianBytes().concat(sibling.toBigEndianBytes())
                    : sibling.toBigEndianBytes().concat(node.toBigEndianBytes())
            ))!
        }
        return node
    }

    /// What voters sign for a round's root, before the Ethereum prefix: the hash of protocol id
    /// (200, FDC), round, a zero byte and root, bound to a chain id or, without one, the older way
    ///
    access(all) view fun messageHash(round: UInt32, root: UInt256, chainId: UInt64?): UInt256 {
        let message = "c8\(String.encodeHex(round.toBigEndianBytes()))00\(self.word(root))"
        let bound = chainId == nil ? message : "\(self.word(UInt256(chainId!)))\(message)"
        return UInt256.fromBigEndianBytes(HashAlgorithm.KECCAK_256.hash(bound.decodeHex()))!
    }

    /// The hash of a policy's bytes (hex) that voters sign, before the Ethereum prefix
    ///
    access(all) view fun policyHash(_ policy: String, chainId: UInt64?): UInt256 {
        let bytes = self.bytesFromHex(policy)
        return chainId == nil ? self.foldedHash(bytes) : self.boundHash(bytes, chainId: chainId!)
    }

    /// The bytes of a hex text, with or without 0x (without is cheaper)
    ///
    /// What is not whole bytes in hexadecimal is found by `decodeHex`, whose own error names it: a
    /// check before that would cost forty times as much. Even the length of a text has its price.
    ///
    access(all) view fun bytesFromHex(_ text: String): [UInt8] {
        return self.digitsOf(text).decodeHex()
    }

    /// The number that a hex text of so many bytes is, with or without 0x
    ///
    access(all) view fun numberFromHex(_ text: String, length: Int): UInt256 {
        let bytes = self.bytesFromHex(text)
        assert(
            bytes.length == length,
            message: "FlareLightClient.numberFromHex: \(bytes.length) bytes where \(length) belong"
        )
        return UInt256.fromBigEndianBytes(bytes)!
    }

    /// Panics unless enough weight of a policy signed a hash
    ///
    /// @return the weight
    ///
    access(self) view fun checkSignatures(
        by policy: &Policy, over hash: UInt256,
        signers: [UInt16], publicKeys: [String], signatures: [String]
    ): UInt256 {
        let verdict = policy.weigh(
            hash,
            signers: signers,
            publicKeys: publicKeys,
            signatures: signatures
        )
        if let refusal = verdict.refusal {
            panic("FlareLightClient.checkSignatures: \(refusal)")
        }
        return verdict.weight
    }

    /// Reads a policy and hashes it in the form of its epoch
    ///
    access(contract) fun parsePolicy(_ text: String): Policy {
        return Policy(
            self.digitsOf(text),
            chainId: self.chainId,
            boundFromEpoch: self.boundPolicyFromEpoch
        )
    }

    /// Panics unless Flare might set such a policy
    ///
    access(contract) view fun checkPolicy(_ policy: &Policy) {
        if let problem = policy.problem() {
            panic("FlareLightClient.checkPolicy: \(problem)")
        }
    }

    /// Tells of the policy that was stored last, and drops those that are too many, lowest first,
    /// with their rounds
    ///
    access(self) fun finishInstall() {
        while self.lastEpoch - self.firstEpoch >= self.epochsKept {
            self.policies.remove(key: self.firstEpoch)
            self.firstEpoch = self.firstEpoch + 1
        }
        let policy = self.borrowPolicy(epoch: self.lastEpoch)!
        emit PolicyInstalled(
            epoch: policy.epoch,
            startRound: policy.startRound,
            threshold: policy.threshold,
            voters: policy.votersStated,
            hash: policy.hash
        )
    }

    /// keccak(chain id as 32 bytes ‖ policy)
    ///
    access(self) view fun boundHash(_ bytes: [UInt8], chainId: UInt64): UInt256 {
        return UInt256.fromBigEndianBytes(HashAlgorithm.KECCAK_256.hash(
            UInt256(chainId).toBigEndianBytes().concat(bytes)
        ))!
    }

    /// The older form: words of 32 bytes, the last filled up with zeros, hashed one after the other
    ///
    access(self) view fun foldedHash(_ bytes: [UInt8]): UInt256 {
        let words = bytes.concat((0 as UInt256).toBigEndianBytes())
        var hash = HashAlgorithm.KECCAK_256.hash(words.slice(from: 0, upTo: 64))
        var at = 64
        while at < bytes.length {
            hash = HashAlgorithm.KECCAK_256.hash(hash.concat(words.slice(from: at, upTo: at + 32)))
            at = at + 32
        }
        return UInt256.fromBigEndianBytes(hash)!
    }

    /// A hex text without 0x
    ///
    access(self) view fun digitsOf(_ text: String): String {
        return text != "" && text.slice(from: 0, upTo: 2) == "0x"
            ? text.slice(from: 2, upTo: text.length)
            : text
    }

    /// 32 bytes as hex
    ///
    access(self) view fun word(_ value: UInt256): String {
        return String.encodeHex(value.toBigEndianBytes())
    }

    init(
        chainId: UInt64, checkpoint: String,
        firstEpochStartRound: UInt32, roundsPerEpoch: UInt32, epochsKept: UInt32,
        checkpointDelay: UFix64, boundMessageFromRound: UInt32?, boundPolicyFromEpoch: UInt32?
    ) {
        pre {
            roundsPerEpoch > 0: "FlareLightClient.init: An epoch has rounds"
            epochsKept > 1: "FlareLightClient.init: The last policy alone cannot serve its late rounds"
        }
        self.GovernorPath = StoragePath(identifier: "FlareLightClientGovernor_\(self.account.address)")!
        self.chainId = chainId
        self.firstEpochStartRound = firstEpochStartRound
        self.roundsPerEpoch = roundsPerEpoch
        self.epochsKept = epochsKept
        self.checkpointDelay = checkpointDelay
        self.boundMessageFromRound = boundMessageFromRound ?? 0
        self.boundPolicyFromEpoch = boundPolicyFromEpoch ?? 0
        self.firstEpoch = 0
        self.lastEpoch = 0
        self.policies = {}
        self.checkpoint = nil
        self.extensions = {}

        let policy = self.parsePolicy(checkpoint)
        self.checkPolicy(&policy as &Policy)
        self.firstEpoch = policy.epoch
        self.lastEpoch = policy.epoch
        self.policies[policy.epoch] = policy
        self.finishInstall()
        self.account.storage.save(<-create Governor(), to: self.GovernorPath)
    }
}
