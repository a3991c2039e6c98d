import "FlareLightClient"

/// UsageBatches
///
/// Keeps the roots of usage batches that were anchored on Flare. A batch is taken when FDC attested
/// the anchor's event: the contract builds FDC's answer itself, from its own constants and the
/// words that differ, so that there is nothing to parse and nothing to mistake.
///
/// It also knows the format of what lies under a root: entries, chunks and the tree.
///
/// Numbers of more than 256 bits are divided by `1 << n` where `>> n` is meant, here and in the
/// other contracts: Cadence 1.10 counts shifting a `UInt` right by much as negative use of memory,
/// and stops a transaction when the sum of its counts falls below zero.
///
access(all) contract UsageBatches {

    /// Emitted when a provider names the key that signs its batches
    access(all) event MeterSet(
        provider: UInt64, meter: String, meterEpoch: UInt32, activeFrom: UFix64
    )

    /// Emitted when a batch is taken. From now on its entries can be settled.
    access(all) event BatchAccepted(
        provider: UInt64, meterEpoch: UInt32, seq: UInt64, root: UInt256, prevRoot: UInt256,
        sealedAt: UInt64, manifest: UInt256, round: UInt32, highestSeq: UInt64
    )

    /// The address of UsageAnchor on Flare, as a number and as 40 hex digits
    access(all) let anchor: UInt256
    access(all) let anchorHex: String

    /// FDC's name of the Flare network that the anchor is on
    access(all) let sourceId: UInt256

    /// What a header must name to be meant for this contract: "flow:<network>:<address>", hashed
    access(all) let targetName: String
    access(all) let target: UInt256

    /// Seconds until a provider's next meter is active
    access(all) let meterDelay: UFix64

    /// The first words of every attestation, as hex
    access(self) let attestationHead: String

    /// By provider
    access(self) let streams: {UInt64: Stream}

    /// Room for later versions: an upgrade cannot add fields
    access(self) let extensions: {String: AnyStruct}

    /// Stream
    ///
    /// The batches of a provider's current meter. The next meter begins a stream of its own, so
    /// that nothing of the old one can be settled any more.
    ///
    access(all) struct Stream {
        access(all) let provider: UInt64

        /// Its address on Flare
        access(all) let meter: UInt256

        /// 1 for the provider's first meter
        access(all) let meterEpoch: UInt32

        /// Unix seconds
        access(all) let activeFrom: UFix64

        /// The highest number taken; 0: none yet
        access(all) var highestSeq: UInt64

        access(contract) let roots: {UInt64: UInt256}

        /// Meters that must not come back
        access(contract) let revoked: {UInt256: Bool}

        access(contract) let extensions: {String: AnyStruct}

        init(
            provider: UInt64, meter: UInt256, meterEpoch: UInt32, activeFrom: UFix64,
            revoked: {UInt256: Bool}
        ) {
            self.provider = provider
            self.meter = meter
            self.meterEpoch = meterEpoch
            self.activeFrom = activeFrom
            self.highestSeq = 0
            self.roots = {}
            self.revoked = revoked
            self.extensions = {}
        }

        /// Batches up to it are neither held nor taken
        ///
        access(all) view fun base(): UInt64 {
            return self.highestSeq.saturatingSubtract(256)
        }

        /// The meter as 40 hex digits
        ///
        access(all) view fun meterHex(): String {
            return String.encodeHex(self.meter.toBigEndianBytes().slice(from: 12, upTo: 32))
        }

        access(contract) fun add(seq: UInt64, root: UInt256) {
            pre {
                seq > self.base():
                    "UsageBatches.Stream.add: Batch \(seq) is not above \(self.base())"
                self.roots[seq] == nil:
                    "UsageBatches.Stream.add: Batch \(seq) is there already"
            }
            self.roots[seq] = root
            if seq <= self.highestSeq {
                return
            }
            var old = self.base() + 1
            let last = self.highestSeq
            self.highestSeq = seq
            let base = self.base()
            while old <= base && old <= last {
                self.roots.remove(key: old)
                old = old + 1
            }
        }
    }

    /// Header
    ///
    /// What the meter signed and the anchor emitted, without the target: that is our own.
    ///
    access(all) struct Header {
        access(all) let seq: UInt64
        access(all) let root: UInt256
        access(all) let prevRoot: UInt256
        access(all) let sealedAt: UInt64
        access(all) let manifest: UInt256

        view init(
            seq: UInt64, root: UInt256, prevRoot: UInt256, sealedAt: UInt64, manifest: UInt256
        ) {
            self.seq = seq
            self.root = root
            self.prevRoot = prevRoot
            self.sealedAt = sealedAt
            self.manifest = manifest
        }
    }

    /// Attestation
    ///
    /// The words of FDC's answer about the anchoring transaction that are its own each time.
    ///
    access(all) struct Attestation {
        access(all) let round: UInt32
        access(all) let lowestUsedTimestamp: UInt64
        access(all) let transactionHash: UInt256
        access(all) let requiredConfirmations: UInt16

        /// Of the anchor's event, in its block
        access(all) let logIndex: UInt32

        access(all) let blockNumber: UInt64
        access(all) let timestamp: UInt64
        access(all) let sourceAddress: UInt256
        access(all) let isDeployment: Bool
        access(all) let receivingAddress: UInt256
        access(all) let value: UInt256

        /// Input that is not provided is one zero byte for some verifiers, and empty for others
        access(all) let hasInputByte: Bool

        view init(
            round: UInt32, lowestUsedTimestamp: UInt64, transactionHash: UInt256,
            requiredConfirmations: UInt16, logIndex: UInt32, blockNumber: UInt64,
            timestamp: UInt64, sourceAddress: UInt256, isDeployment: Bool,
            receivingAddress: UInt256, value: UInt256, hasInputByte: Bool
        ) {
            self.round = round
            self.lowestUsedTimestamp = lowestUsedTimestamp
            self.transactionHash = transactionHash
            self.requiredConfirmations = requiredConfirmations
            self.logIndex = logIndex
            self.blockNumber = blockNumber
            self.timestamp = timestamp
            self.sourceAddress = sourceAddress
            self.isDeployment = isDeployment
            self.receivingAddress = receivingAddress
            self.value = value
            self.hasInputByte = hasInputByte
        }
    }

    /// Row
    ///
    /// Cumulative counters of one model in one billing period.
    ///
    access(all) struct Row {
        access(all) let modelId: UInt16
        access(all) let promptTokens: UInt64

        /// Part of the prompt tokens
        access(all) let cachedPromptTokens: UInt64
        access(all) let completionTokens: UInt64
        access(all) let requests: UInt32

        view init(
            modelId: UInt16, promptTokens: UInt64, cachedPromptTokens: UInt64,
            completionTokens: UInt64, requests: UInt32
        ) {
            self.modelId = modelId
            self.promptTokens = promptTokens
            self.cachedPromptTokens = cachedPromptTokens
            self.completionTokens = completionTokens
            self.requests = requests
        }

        /// The 30 bytes of a row as a number
        ///
        access(all) view fun pack(): UInt {
            return UInt(self.modelId) << 224 | UInt(self.promptTokens) << 160
                | UInt(self.cachedPromptTokens) << 96 | UInt(self.completionTokens) << 32
                | UInt(self.requests)
        }
    }

    /// Entry
    ///
    /// A view of the totals of one (vault, period). Its bytes are one number: 0x01, account number
    /// u64, period start u32, root of the new records (32 bytes), and a row for each model.
    ///
    access(all) struct Entry {
        access(all) let packed: UInt
        access(all) let accountNumber: UInt64
        access(all) let periodStart: UInt32
        access(all) let recordsRoot: UInt256

        /// @param head the entry without its rows
        ///
        view init(_ packed: UInt, head: UInt) {
            let key = head / (1 << 256)
            self.packed = packed
            self.accountNumber = UInt64(key / (1 << 32) & 0xffffffffffffffff)
            self.periodStart = UInt32(key & 0xffffffff)
            self.recordsRoot = UInt256(head % (1 << 256))
        }

        /// In the order of the bytes: model ids ascend
        ///
        access(all) fun rows(): [Row] {
            let rows: [Row] = []
            var rest = self.packed
            while rest >= 1 << 353 {
                let row = UInt256(rest % (1 << 240))
                rows.insert(at: 0, Row(
                    modelId: UInt16(row >> 224),
                    promptTokens: UInt64(row >> 160 & 0xffffffffffffffff),
                    cachedPromptTokens: UInt64(row >> 96 & 0xffffffffffffffff),
                    completionTokens: UInt64(row >> 32 & 0xffffffffffffffff),
                    requests: UInt32(row & 0xffffffff)
                ))
                rest = rest / (1 << 240)
            }
            return rows
        }
    }

    /// Takes an anchored batch of a provider's current meter. Anybody may bring it.
    ///
    /// @param proof from the attestation up to the root of its round
    ///
    access(all) fun acceptBatch(
        provider: UInt64, header: Header, attestation: Attestation, proof: [UInt256]
    ) {
        pre {
            header.root != 0: "UsageBatches.acceptBatch: Zero is no root"
        }
        let stream = (&self.streams[provider] as &Stream?)
            ?? panic("UsageBatches.acceptBatch: Provider \(provider) has no meter")
        assert(
            getCurrentBlock().timestamp >= stream.activeFrom,
            message: "UsageBatches.acceptBatch: The meter is active from \(stream.activeFrom) on"
        )
        let leaf = self.attestationLeaf(
            meter: stream.meter,
            header: header,
            attestation: attestation
        )
        assert(
            FlareLightClient.isProven(round: attestation.round, leaf: leaf, proof: proof),
            message: "UsageBatches.acceptBatch: Round \(attestation.round) does not prove batch \(header.seq) of meter \(stream.meterHex()) for \(self.targetName)"
        )
        stream.add(seq: header.seq, root: header.root)
        emit BatchAccepted(
            provider: provider,
            meterEpoch: stream.meterEpoch,
            seq: header.seq,
            root: header.root,
            prevRoot: header.prevRoot,
            sealedAt: header.sealedAt,
            manifest: header.manifest,
            round: attestation.round,
            highestSeq: stream.highestSeq
        )
    }

    /// Whether entries, in this order and with these neighbours, are a chunk under the root of a
    /// batch of the provider's current meter
    ///
    /// @param path from the chunk up to the batch's root
    ///
    access(all) view fun isRun(
        provider: UInt64, seq: UInt64,
        leavesBefore: [UInt256], entries: [UInt], leavesAfter: [UInt256], path: [UInt256]
    ): Bool {
        let root = self.rootOf(provider: provider, seq: seq)
        let count = leavesBefore.length + entries.length + leavesAfter.length
        if root == nil || entries.length == 0 || count > 128 {
            return false
        }
        var hex = "02"
        for leaf in leavesBefore {
            hex = "\(hex)\(String.encodeHex(leaf.toBigEndianBytes()))"
        }
        for entry in entries {
            hex = "\(hex)\(String.encodeHex(HashAlgorithm.KECCAK_256.hash(entry.toBigEndianBytes())))"
        }
        for leaf in leavesAfter {
            hex = "\(hex)\(String.encodeHex(leaf.toBigEndianBytes()))"
        }
        return FlareLightClient.rootFromPath(self.hashOf(hex), path) == root
    }

    /// The root of a batch of the provider's current meter; nil: not taken, or held no longer
    ///
    access(all) view fun rootOf(provider: UInt64, seq: UInt64): UInt256? {
        if let stream = self.borrowStream(provider: provider) {
            return stream.roots[seq]
        }
        return nil
    }

    /// The stream of the provider's current meter; nil: none was set
    ///
    access(all) view fun borrowStream(provider: UInt64): &Stream? {
        return &self.streams[provider]
    }

    /// A view of an entry; nil: these bytes are none. Its rows may still be impossible.
    ///
    access(all) view fun entry(_ packed: UInt): Entry? {
        let head = self.headOf(packed)
        return head == 0 ? nil : Entry(packed, head: head)
    }

    /// An entry without its rows; 0: these bytes are no entry
    ///
    access(all) view fun headOf(_ packed: UInt): UInt {
        // The tag 0x01 is the highest bit of all. It is bit 352 of the head, and at most 32 rows of
        // 240 bits lie below that.
        if packed >= 1 << 8033 {
            return 0
        }
        var head = packed
        while head >= 1 << 353 {
            head = head / (1 << 240)
        }
        return head >= 1 << 352 && head != packed ? head : 0
    }

    /// Whether an entry's rows count anything
    ///
    access(all) view fun hasUsage(_ packed: UInt): Bool {
        var rest = packed
        while rest >= 1 << 353 {
            // A row's counters, without its model id.
            if rest & 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffff > 0 {
                return true
            }
            rest = rest / (1 << 240)
        }
        return false
    }

    /// keccak of the entry's bytes
    ///
    access(all) view fun leafOf(_ packed: UInt): UInt256 {
        return UInt256.fromBigEndianBytes(HashAlgorithm.KECCAK_256.hash(packed.toBigEndianBytes()))!
    }

    /// keccak(0x02 ‖ leaves)
    ///
    access(all) view fun chunkOf(_ leaves: [UInt256]): UInt256 {
        var hex = "02"
        for leaf in leaves {
            hex = "\(hex)\(self.word(leaf))"
        }
        return self.hashOf(hex)
    }

    /// The leaf of FDC's answer about the transaction that anchored a header of a meter
    ///
    /// It is keccak of abi.encode(IEVMTransaction.Response), with one event: UsageBatchAnchored of
    /// our anchor. The answer is 1312 or 1344 bytes long, so it can be no node of a tree.
    ///
    access(all) view fun attestationLeaf(
        meter: UInt256, header: Header, attestation: Attestation
    ): UInt256 {
        // 60 zeros: a small constant word is these and four digits more.
        let z = "000000000000000000000000000000000000000000000000000000000000"
        let logIndex = self.word(UInt256(attestation.logIndex))
        let envelope = "\(self.attestationHead)\(self.word(UInt256(attestation.round)))\(self.word(UInt256(attestation.lowestUsedTimestamp)))\(z)00c0\(z)01a0"
        // Transaction, confirmations, no input, with events, and the one log index.
        let request = "\(self.word(attestation.transactionHash))\(self.word(UInt256(attestation.requiredConfirmations)))\(z)0000\(z)0001\(z)00a0\(z)0001\(logIndex)"
        // Block, sender, receiver, and status 1: it succeeded.
        let place = "\(self.word(UInt256(attestation.blockNumber)))\(self.word(UInt256(attestation.timestamp)))\(self.word(attestation.sourceAddress))\(z)\(attestation.isDeployment ? "0001" : "0000")"
        let receiver = "\(self.word(attestation.receivingAddress))\(self.word(attestation.value))\(z)0120\(z)0001"
        let input = attestation.hasInputByte ? "\(z)0160\(z)0001\(z)0000" : "\(z)0140\(z)0000"
        // One event, of the anchor, not removed, with four topics: UsageBatchAnchored.
        let happened = "\(z)0001\(z)0020\(logIndex)\(self.word(self.anchor))\(z)00a0\(z)0140\(z)0000\(z)0004"
        let topics = "36d511db1e57a4c4714535b3f9cf1ec582d3726911d333bbd5eb9fbdfc3944ff\(self.word(meter))\(self.word(UInt256(header.seq)))\(self.word(header.root))"
        let data = "\(z)0080\(self.word(header.prevRoot))\(self.word(UInt256(header.sealedAt)))\(self.word(self.target))\(self.word(header.manifest))"
        return self.hashOf("\(envelope)\(request)\(place)\(receiver)\(input)\(happened)\(topics)\(data)")
    }

    /// Names the meter of a provider. SubscriptionVaults asks, for the holder of the Provider.
    ///
    access(account) fun setMeter(provider: UInt64, meter: String) {
        let address = FlareLightClient.numberFromHex(meter, length: 20)
        assert(address != 0, message: "UsageBatches.setMeter: Zero is nobody's address")
        let now = getCurrentBlock().timestamp
        let old = self.streams[provider]
        let revoked = old?.revoked ?? {}
        if old != nil {
            revoked[old!.meter] = true
        }
        assert(
            revoked[address] == nil,
            message: "UsageBatches.setMeter: Meter \(meter) of provider \(provider) is in use, or was revoked"
        )
        let stream = Stream(
            provider: provider,
            meter: address,
            meterEpoch: (old?.meterEpoch ?? 0) + 1,
            activeFrom: old == nil ? now : now + self.meterDelay,
            revoked: revoked
        )
        self.streams[provider] = stream
        emit MeterSet(
            provider: provider,
            meter: stream.meterHex(),
            meterEpoch: stream.meterEpoch,
            activeFrom: stream.activeFrom
        )
    }

    /// 32 bytes as hex
    ///
    access(self) view fun word(_ value: UInt256): String {
        return String.encodeHex(value.toBigEndianBytes())
    }

    access(self) view fun hashOf(_ hex: String): UInt256 {
        return UInt256.fromBigEndianBytes(HashAlgorithm.KECCAK_256.hash(hex.decodeHex()))!
    }

    init(network: String, anchor: String, sourceId: String, meterDelay: UFix64) {
        self.anchor = FlareLightClient.numberFromHex(anchor, length: 20)
        self.anchorHex = String.encodeHex(self.anchor.toBigEndianBytes().slice(from: 12, upTo: 32))
        self.sourceId = FlareLightClient.numberFromHex(sourceId, length: 32)
        self.targetName = "flow:\(network):\(self.account.address.toString().slice(from: 2, upTo: 18))"
        self.target = UInt256.fromBigEndianBytes(
            HashAlgorithm.KECCAK_256.hash(self.targetName.utf8)
        )!
        self.meterDelay = meterDelay
        // 0x20, attestation type "EVMTransaction", source.
        self.attestationHead = "000000000000000000000000000000000000000000000000000000000000002045564d5472616e73616374696f6e000000000000000000000000000000000000\(String.encodeHex(self.sourceId.toBigEndianBytes()))"
        self.streams = {}
        self.extensions = {}
    }
}
