package main

import "sync"

// idle is a graceland.Routine that does nothing until it is stopped.
type idle struct {
	end    chan struct{}
	once   sync.Once
	onStop func()
}

func newIdle(onStop func()) *idle {
	return &idle{end: make(chan struct{}), onStop: onStop}
}

// Start is part of graceland.Routine.
func (i *idle) Start() error {
	<-i.end
	return nil
}

// Stop is part of graceland.Routine.
func (i *idle) Stop() {
	i.once.Do(func() {
		i.onStop()
		close(i.end)
	})
}
