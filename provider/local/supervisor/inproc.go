package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"
)

// Server runs inside the supervisor: it serves on the listener, which it
// closes, until ctx ends. Log takes lines for the service's log.
type Server func(ctx context.Context, options json.RawMessage, ln net.Listener, log func(string)) error

// inproc is a runner of a Server.
type inproc struct {
	cancel context.CancelFunc
	ended  chan struct{}
	how    string
}

func startServer(serve Server, options json.RawMessage, ln net.Listener, line func(string)) *inproc {
	ctx, cancel := context.WithCancel(context.Background())
	r := &inproc{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		defer func() {
			if p := recover(); p != nil {
				r.how = fmt.Sprintf("panic: %v", p)
			}
		}()
		r.how = "ended"
		if err := serve(ctx, options, ln, line); err != nil && ctx.Err() == nil {
			r.how = err.Error()
		}
	}()
	return r
}

func (r *inproc) done() <-chan struct{} { return r.ended }
func (r *inproc) exit() string          { return r.how }
func (r *inproc) pid() int              { return os.Getpid() }

func (r *inproc) stop(time.Duration) {
	r.cancel()
	<-r.ended
}
