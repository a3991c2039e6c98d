// Written by scripts/generate-abi.mjs. Do not edit.
/** contracts/UsageAnchor.sol, whole. */
export const usageAnchorAbi = [
  'constructor()',
  'error ECDSAInvalidSignature()',
  'error ECDSAInvalidSignatureLength(uint256 length)',
  'error ECDSAInvalidSignatureS(bytes32 s)',
  'error InvalidShortString()',
  'error PrevRootNotLast(bytes32 expected, bytes32 actual)',
  'error SeqNotNext(uint64 expected, uint64 actual)',
  'error StringTooLong(string str)',
  'event EIP712DomainChanged()',
  'event UsageBatchAnchored(address indexed meter, uint64 indexed seq, bytes32 indexed root, bytes32 prevRoot, uint64 sealedAt, bytes32 target, bytes32 manifest)',
  'function anchor((uint64 seq, bytes32 root, bytes32 prevRoot, uint64 sealedAt, bytes32 target, bytes32 manifest) batch, bytes signature)',
  'function eip712Domain() view returns (bytes1 fields, string name, string version, uint256 chainId, address verifyingContract, bytes32 salt, uint256[] extensions)',
  'function lastRoot(address meter) view returns (bytes32 root)',
  'function lastSeq(address meter) view returns (uint64 seq)',
] as const

/** IFlareContractRegistry of @flarenetwork/flare-periphery-contract-artifacts 0.1.50, Coston2. */
export const flareContractRegistryAbi = [
  'function getContractAddressByName(string _name) view returns (address)',
] as const

/** IFlareSystemsManager of @flarenetwork/flare-periphery-contract-artifacts 0.1.50, Coston2. */
export const flareSystemsManagerAbi = [
  'event SigningPolicySigned(uint24 indexed rewardEpochId, address indexed signingPolicyAddress, address indexed voter, uint64 timestamp, bool thresholdReached)',
  'function firstRewardEpochStartTs() view returns (uint64)',
  'function firstVotingRoundStartTs() view returns (uint64)',
  'function getCurrentRewardEpochId() view returns (uint24)',
  'function getStartVotingRoundId(uint256 _rewardEpochId) view returns (uint32)',
  'function rewardEpochDurationSeconds() view returns (uint64)',
  'function signNewSigningPolicy(uint24 _rewardEpochId, bytes32 _newSigningPolicyHash, (uint8 v, bytes32 r, bytes32 s) _signature)',
  'function votingEpochDurationSeconds() view returns (uint64)',
] as const

/** IFdcHub of @flarenetwork/flare-periphery-contract-artifacts 0.1.50, Coston2. */
export const fdcHubAbi = [
  'event AttestationRequest(bytes data, uint256 fee)',
  'function requestAttestation(bytes _data) payable',
] as const

/** IFdcRequestFeeConfigurations of @flarenetwork/flare-periphery-contract-artifacts 0.1.50, Coston2. */
export const fdcRequestFeeConfigurationsAbi = [
  'function getRequestFee(bytes _data) view returns (uint256)',
] as const

/** IFdcVerification of @flarenetwork/flare-periphery-contract-artifacts 0.1.50, Coston2. */
export const fdcVerificationAbi = [
  'function relay() view returns (address)',
  'function verifyEVMTransaction((bytes32[] merkleProof, (bytes32 attestationType, bytes32 sourceId, uint64 votingRound, uint64 lowestUsedTimestamp, (bytes32 transactionHash, uint16 requiredConfirmations, bool provideInput, bool listEvents, uint32[] logIndices) requestBody, (uint64 blockNumber, uint64 timestamp, address sourceAddress, bool isDeployment, address receivingAddress, uint256 value, bytes input, uint8 status, (uint32 logIndex, address emitterAddress, bytes32[] topics, bytes data, bool removed)[] events) responseBody) data) _proof) view returns (bool _proved)',
] as const

/** IRelay of @flarenetwork/flare-periphery-contract-artifacts 0.1.50, Coston2. */
export const relayAbi = [
  'event ProtocolMessageRelayed(uint8 indexed protocolId, uint32 indexed votingRoundId, bool isSecureRandom, bytes32 merkleRoot)',
  'event SigningPolicyInitialized(uint24 indexed rewardEpochId, uint32 startVotingRoundId, uint16 threshold, uint256 seed, address[] voters, uint16[] weights, bytes signingPolicyBytes, uint64 timestamp)',
  'function getVotingRoundId(uint256 _timestamp) view returns (uint256 _votingRoundId)',
  'function isFinalized(uint256 _protocolId, uint256 _votingRoundId) view returns (bool)',
  'function lastInitializedRewardEpochData() view returns (uint32 _lastInitializedRewardEpoch, uint32 _startingVotingRoundIdForLastInitializedRewardEpoch)',
  'function merkleRoots(uint256 _protocolId, uint256 _votingRoundId) view returns (bytes32 _merkleRoot)',
  'function relay() returns (bytes)',
  'function startingVotingRoundIds(uint256 _rewardEpochId) view returns (uint256 _startingVotingRoundId)',
  'function stateData() view returns (uint8 randomNumberProtocolId, uint32 firstVotingRoundStartTs, uint8 votingEpochDurationSeconds, uint32 firstRewardEpochStartVotingRoundId, uint16 rewardEpochDurationInVotingEpochs, uint16 thresholdIncreaseBIPS, uint32 randomVotingRoundId, bool isSecureRandom, uint32 lastInitializedRewardEpoch, bool noSigningPolicyRelay, uint32 messageFinalizationWindowInRewardEpochs)',
  'function toSigningPolicyHash(uint256 _rewardEpochId) view returns (bytes32 _signingPolicyHash)',
] as const

/** ISubmission of @flarenetwork/flare-periphery-contract-artifacts 0.1.50, Coston2. */
export const submissionAbi = ['function submitSignatures() returns (bool)'] as const
