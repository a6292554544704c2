package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// interrupts turns signals into what a command understands. Most commands
// simply end: their context is cancelled. One that changes things asks for
// grace, and is then told first to start nothing new, and only by the second
// signal to leave.
type interrupts struct {
	stop    chan struct{}
	grace   atomic.Bool
	done    chan struct{}
	signals chan os.Signal
	cancel  context.CancelFunc
	seen    atomic.Bool
}

// watchInterrupts starts to listen. The returned context ends with the
// signals; call release when the command is over.
func watchInterrupts(ctx context.Context, stderr io.Writer) (context.Context, *interrupts) {
	ctx, cancel := context.WithCancel(ctx)
	w := &interrupts{
		stop: make(chan struct{}), done: make(chan struct{}),
		signals: make(chan os.Signal, 2), cancel: cancel,
	}
	signal.Notify(w.signals, os.Interrupt, syscall.SIGTERM)
	go w.watch(stderr)
	return ctx, w
}

func (w *interrupts) watch(stderr io.Writer) {
	for first := true; ; first = false {
		select {
		case <-w.done:
			return
		case <-w.signals:
		}
		w.seen.Store(true)
		if first {
			close(w.stop)
		}
		if first && w.grace.Load() {
			_, _ = fmt.Fprintln(stderr, "Interrupted: what runs is finished and recorded, nothing new starts. Once more leaves now.")
			continue
		}
		w.cancel()
	}
}

// graceful asks for grace until end is called, and returns the channel that
// closes at the first signal.
func (w *interrupts) graceful() (stop <-chan struct{}, end func()) {
	w.grace.Store(true)
	return w.stop, func() { w.grace.Store(false) }
}

// interrupted tells whether a signal came.
func (w *interrupts) interrupted() bool { return w.seen.Load() }

func (w *interrupts) release() {
	signal.Stop(w.signals)
	close(w.done)
	w.cancel()
}
