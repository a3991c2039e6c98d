package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	flowgo "github.com/onflow/flow-go/model/flow"

	"github.com/onflow/flow-emulator/emulator"
	"github.com/onflow/flow-emulator/types"
)

// maxAdvanceMs bounds one move: ten years. More is a caller that mixed up its units.
const maxAdvanceMs = 10 * 366 * 24 * 60 * 60 * 1000

// clock is the machine's time plus an offset that only rises, so block time never falls.
type clock struct {
	offsetMs atomic.Int64
	chain    chain
}

// chain is what the clock needs of emulator.Blockchain.
type chain interface {
	SetClock(emulator.Clock)
	DisableAutoMine()
	GetLatestBlock() (*flowgo.Block, error)
	ExecuteAndCommitBlock() (*flowgo.Block, []*types.TransactionResult, error)
}

// installClock gives the blockchain our clock. Call it before the server starts: SetClock itself
// takes no lock. A reopened database may hold blocks of a moved clock; time goes on from there.
func installClock(blockchain chain) (*clock, error) {
	latest, err := blockchain.GetLatestBlock()
	if err != nil {
		return nil, fmt.Errorf("reading the latest block: %w", err)
	}
	c := &clock{chain: blockchain}
	latestMs := int64(latest.Timestamp)
	if aheadMs := latestMs - time.Now().UnixMilli(); aheadMs > 0 {
		c.offsetMs.Store(aheadMs)
	}
	blockchain.SetClock(c)
	return c, nil
}

// Now is part of emulator.Clock.
func (c *clock) Now() time.Time {
	return time.Now().UTC().Add(time.Duration(c.offsetMs.Load()) * time.Millisecond)
}

// clockState is the answer of both routes. Timestamps are unix milliseconds.
type clockState struct {
	OffsetMs int64  `json:"offsetMs"`
	NowMs    int64  `json:"nowMs"`
	Height   uint64 `json:"height"`
	BlockMs  int64  `json:"blockMs"`
}

// middleware answers GET /clock, POST /clock {"advanceMs": n} and POST /block (makes a block now, of
// what is pending), and passes on all the rest.
func (c *clock) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/clock" && r.URL.Path != "/block" {
			next.ServeHTTP(w, r)
			return
		}
		if !fromLoopback(r) {
			http.Error(w, "only from this machine", http.StatusForbidden)
			return
		}
		switch r.Method + r.URL.Path {
		case "GET/clock":
			c.answer(w)
		case "POST/clock":
			c.advance(w, r)
		case "POST/block":
			c.makeBlocks(w, 1)
		default:
			http.Error(w, "use GET /clock, POST /clock or POST /block", http.StatusMethodNotAllowed)
		}
	})
}

// advance moves the clock and makes blocks until one bears the new time, so that the caller's next
// script and transaction see it.
func (c *clock) advance(w http.ResponseWriter, r *http.Request) {
	var move struct {
		AdvanceMs *int64 `json:"advanceMs"`
	}
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1024))
	body.DisallowUnknownFields()
	if err := body.Decode(&move); err != nil || move.AdvanceMs == nil {
		http.Error(w, `send {"advanceMs": <milliseconds>}`, http.StatusBadRequest)
		return
	}
	if *move.AdvanceMs < 0 || *move.AdvanceMs > maxAdvanceMs {
		http.Error(w, fmt.Sprintf("advanceMs must be 0 to %d", int64(maxAdvanceMs)), http.StatusBadRequest)
		return
	}
	c.offsetMs.Add(*move.AdvanceMs)
	// The pending block took its time when it was opened; the one after it takes the new time.
	c.makeBlocks(w, 2)
}

func (c *clock) makeBlocks(w http.ResponseWriter, count int) {
	for range count {
		if _, _, err := c.chain.ExecuteAndCommitBlock(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	c.answer(w)
}

func (c *clock) answer(w http.ResponseWriter) {
	latest, err := c.chain.GetLatestBlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(clockState{
		OffsetMs: c.offsetMs.Load(),
		NowMs:    c.Now().UnixMilli(),
		Height:   latest.Height,
		BlockMs:  int64(latest.Timestamp),
	})
}

func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
