// The Flow emulator of the local network: the pinned flow-emulator with all its flags, and one
// route of our own that moves the block clock forward (clock.go), so that tests of caps, notices
// and late periods drive the time instead of sleeping.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/onflow/cadence"
	"github.com/onflow/flow-go-sdk/crypto"
	"github.com/onflow/flow-go/fvm"
	flowgo "github.com/onflow/flow-go/model/flow"
	"github.com/psiemens/graceland"
	"github.com/psiemens/sconfig"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/onflow/flow-emulator/cmd/emulator/start"
	"github.com/onflow/flow-emulator/emulator"
	"github.com/onflow/flow-emulator/server"
)

func main() {
	withoutSync()
	if err := command().Execute(); err != nil {
		os.Exit(2)
	}
}

// command has the flags and the FLOW_ variables of the emulator's own command. That command keeps
// its server to itself, and the clock needs it, so the server is put together here.
func command() *cobra.Command {
	var conf start.Config
	cmd := &cobra.Command{
		Use:          "flow-emulator",
		Short:        "Starts the Flow emulator of the local network",
		SilenceUsage: true,
		Args:         cobra.NoArgs,
		RunE:         func(*cobra.Command, []string) error { return run(conf) },
	}
	bind := sconfig.New(&conf).FromEnvironment(start.EnvPrefix).BindFlags(cmd.PersistentFlags())
	if err := bind.Parse(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return cmd
}

// run serves until a signal ends it.
func run(conf start.Config) error {
	serverConf, err := serverConfig(conf)
	if err != nil {
		return err
	}
	logger := newLogger(conf)
	address := flowgo.ChainID(serverConf.ChainID).Chain().ServiceAddress()
	logger.Info().
		Str("serviceAddress", address.Hex()).
		Str("serviceSigAlgo", serverConf.ServiceKeySigAlgo.String()).
		Str("serviceHashAlgo", serverConf.ServiceKeyHashAlgo.String()).
		Str("servicePubKey", serverConf.ServicePublicKey.String()).
		Msg("Using service account")

	emu := server.NewEmulatorServer(logger, serverConf)
	if emu == nil {
		return fmt.Errorf("the emulator could not be set up: see its log above")
	}
	if conf.DebuggerPort == 0 {
		if err := withoutDebugger(emu); err != nil {
			return err
		}
	}
	blockchain, ok := emu.Emulator().(chain)
	if !ok {
		return fmt.Errorf("%T has no clock to set", emu.Emulator())
	}
	clock, err := installClock(blockchain)
	if err != nil {
		return err
	}
	emu.UseRestMiddleware(clock.middleware)
	if os.Getenv("FLOW_EMULATOR_ENDS_WITH_STDIN") == "1" {
		go endWithStdin()
	}

	// Routines end in this order: first no more blocks, at last the storage.
	group := graceland.NewGroup()
	group.Add(newIdle(endSoon))
	if conf.BlockTime > 0 {
		blockchain.DisableAutoMine()
		group.Add(newTicker(blockchain, conf.BlockTime, logger))
	}
	emu.AddToGroup(group)
	err = group.Start()
	if errors.Is(err, http.ErrServerClosed) {
		return nil // How a server that was asked to stop says so.
	}
	return err
}

// endSoon bounds the end of the servers: they wait 5 s for a connection on which nothing was ever
// asked, and for ever for one that streams. The database is safe: a kill -9 would not hurt it.
func endSoon() {
	time.AfterFunc(time.Second, func() { os.Exit(0) })
}

// endWithStdin stops this process when the other end of its standard input is closed, that is when
// the process that started it is gone, even by a kill -9.
func endWithStdin() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
}

// serverConfig says the flags in the server's words. Forking a public network is left out: the
// local network never does it.
func serverConfig(conf start.Config) (*server.Config, error) {
	chainID, err := parseChainID(conf.ChainID)
	if err != nil {
		return nil, err
	}
	if conf.ForkHost != "" || conf.RPCHost != "" || conf.ForkHeight > 0 || conf.StartBlockHeight > 0 {
		return nil, fmt.Errorf("this emulator does not fork other networks")
	}
	key, sigAlgo, hashAlgo, err := serviceKey(conf)
	if err != nil {
		return nil, err
	}
	supply, err := cadence.NewUFix64(conf.TokenSupply)
	if err != nil {
		return nil, fmt.Errorf("--token-supply %q: %w", conf.TokenSupply, err)
	}
	storagePerFlow, err := ufix64Or(conf.StorageMBPerFLOW, fvm.DefaultStorageMBPerFLOW)
	if err != nil {
		return nil, fmt.Errorf("--storage-per-flow: %w", err)
	}
	minimum, err := ufix64Or(conf.MinimumAccountBalance, fvm.DefaultMinimumStorageReservation)
	if err != nil {
		return nil, fmt.Errorf("--min-account-balance: %w", err)
	}
	return &server.Config{
		GRPCPort:                     conf.Port,
		GRPCDebug:                    conf.GRPCDebug,
		AdminPort:                    conf.AdminPort,
		DebuggerPort:                 conf.DebuggerPort,
		RESTPort:                     conf.RestPort,
		RESTDebug:                    conf.RESTDebug,
		BlockTime:                    0, // The blocks are made by our own ticker.
		ServicePublicKey:             key.PublicKey(),
		ServicePrivateKey:            key,
		ServiceKeySigAlgo:            sigAlgo,
		ServiceKeyHashAlgo:           hashAlgo,
		Persist:                      conf.Persist,
		Snapshot:                     conf.Snapshot,
		DBPath:                       conf.DBPath,
		GenesisTokenSupply:           supply,
		TransactionMaxGasLimit:       uint64(conf.TransactionMaxComputeLimit),
		ScriptGasLimit:               uint64(conf.ScriptComputeLimit),
		TransactionExpiry:            uint(conf.TransactionExpiry),
		StorageLimitEnabled:          conf.StorageLimitEnabled,
		StorageMBPerFLOW:             storagePerFlow,
		MinimumStorageReservation:    minimum,
		TransactionFeesEnabled:       conf.TransactionFeesEnabled,
		WithContracts:                conf.Contracts,
		SkipTransactionValidation:    conf.SkipTxValidation,
		SimpleAddressesEnabled:       conf.SimpleAddresses,
		Host:                         conf.Host,
		ChainID:                      chainID,
		RedisURL:                     conf.RedisURL,
		ContractRemovalEnabled:       conf.ContractRemovalEnabled,
		SqliteURL:                    conf.SqliteURL,
		CoverageReportingEnabled:     conf.CoverageReportingEnabled,
		ComputationProfilingEnabled:  conf.ComputationProfilingEnabled,
		CheckpointPath:               conf.CheckpointPath,
		StateHash:                    conf.StateHash,
		ComputationReportingEnabled:  conf.ComputationReportingEnabled,
		ScheduledTransactionsEnabled: conf.ScheduledTransactionsEnabled,
		SetupVMBridgeEnabled:         conf.SetupVMBridgeEnabled,
		NumAccounts:                  conf.NumAccounts,
		EVMTestHelpersEnabled:        conf.EVMTestHelpersEnabled,
	}, nil
}

// serviceKey is the given one, or the emulator's well-known one: the same at every start.
func serviceKey(conf start.Config) (
	crypto.PrivateKey, crypto.SignatureAlgorithm, crypto.HashAlgorithm, error,
) {
	sigAlgo := crypto.StringToSignatureAlgorithm(conf.ServiceKeySigAlgo)
	hashAlgo := crypto.StringToHashAlgorithm(conf.ServiceKeyHashAlgo)
	if conf.ServicePrivateKey == "" {
		key := emulator.GenerateDefaultServiceKey(sigAlgo, hashAlgo)
		return key.PrivateKey, key.SigAlgo, key.HashAlgo, nil
	}
	if sigAlgo == crypto.UnknownSignatureAlgorithm || hashAlgo == crypto.UnknownHashAlgorithm {
		return nil, sigAlgo, hashAlgo, fmt.Errorf("--service-sig-algo or --service-hash-algo is unknown")
	}
	key, err := crypto.DecodePrivateKeyHex(sigAlgo, conf.ServicePrivateKey)
	if err != nil {
		// The text of the error could repeat the key.
		return nil, sigAlgo, hashAlgo, fmt.Errorf("--service-priv-key is not a key of that algorithm")
	}
	return key, sigAlgo, hashAlgo, nil
}

func parseChainID(name string) (flowgo.ChainID, error) {
	switch name {
	case "emulator":
		return flowgo.Emulator, nil
	case "testnet":
		return flowgo.Testnet, nil
	case "mainnet":
		return flowgo.Mainnet, nil
	}
	return "", fmt.Errorf("--chain-id %q: use emulator, testnet or mainnet", name)
}

func ufix64Or(text string, byDefault cadence.UFix64) (cadence.UFix64, error) {
	if text == "" {
		return byDefault, nil
	}
	return cadence.NewUFix64(text)
}

func newLogger(conf start.Config) *zerolog.Logger {
	level := zerolog.InfoLevel
	if conf.Verbose {
		level = zerolog.DebugLevel
	}
	zerolog.MessageFieldName = "msg"
	logger := zerolog.New(zerolog.ConsoleWriter{Out: os.Stdout, NoColor: true})
	if strings.ToLower(conf.LogFormat) == "json" {
		logger = zerolog.New(os.Stdout)
	}
	logger = logger.With().Timestamp().Logger().Level(level)
	return &logger
}
