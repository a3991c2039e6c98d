package main

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// ticker makes blocks at even times. The server's own ticker executes a block and commits it in
// two calls, and a transaction or a block of ours that comes between them is refused; this one
// does both under one lock.
type ticker struct {
	chain     chain
	blockTime time.Duration
	logger    *zerolog.Logger
	end       chan struct{}
	once      sync.Once
}

func newTicker(chain chain, blockTime time.Duration, logger *zerolog.Logger) *ticker {
	return &ticker{chain: chain, blockTime: blockTime, logger: logger, end: make(chan struct{})}
}

// Start is part of graceland.Routine.
func (t *ticker) Start() error {
	beat := time.NewTicker(t.blockTime)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			if _, _, err := t.chain.ExecuteAndCommitBlock(); err != nil {
				t.logger.Error().Err(err).Msg("no block was made")
			}
		case <-t.end:
			return nil
		}
	}
}

// Stop is part of graceland.Routine.
func (t *ticker) Stop() { t.once.Do(func() { close(t.end) }) }
