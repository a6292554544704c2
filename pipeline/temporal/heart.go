package temporal

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/pipeline"
)

// heart shows the cluster that a worker is at work, and ends the work that it
// can no longer show: another worker will be given it once the heartbeat's
// time is over, and by then nothing of it may go on here. That is what lets
// the other one take over the state's lease and decide on an open intent at
// once.
type heart struct {
	// record tells the cluster; nil where there is none that asks.
	record func(ctx context.Context, token []byte) error
	// fence ends the process, where work does not end in time.
	fence func()
}

// errToldToLeave is the cause of a context that the run's own end ended.
var errToldToLeave = fault.New(fault.Interrupted, "the run was told to leave what is under way")

// beat begins to beat for an activity. The context that it returns ends when
// the activity is to end; call stop when it has.
func (h heart) beat(ctx context.Context) (context.Context, func()) {
	info := activity.GetInfo(ctx)
	working, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	away := context.AfterFunc(ctx, func() { cancel(pipeline.ErrLeft) })
	done := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(over)
		if h.record != nil && info.HeartbeatTimeout > 0 {
			h.run(working, cancel, done, info.TaskToken, info.HeartbeatTimeout)
		}
	}()
	return working, func() {
		close(done)
		away()
		cancel(nil)
		<-over
	}
}

// run beats until the work is done. Four beats fit into the time, and work
// that has not been shown for three of them ends.
func (h heart) run(ctx context.Context, cancel context.CancelCauseFunc, done <-chan struct{}, token []byte, within time.Duration) {
	tick := time.NewTicker(within / 4)
	defer tick.Stop()
	shown := time.Now()
	for {
		if sent := time.Now(); h.show(cancel, token, within/4) {
			shown = sent
		}
		if time.Since(shown) > within*3/4 {
			cancel(pipeline.ErrLeft)
		}
		if errors.Is(context.Cause(ctx), pipeline.ErrLeft) {
			h.guard(done, within-time.Since(shown))
			return
		}
		select {
		case <-done:
			return
		case <-tick.C:
		}
	}
}

// show tells the cluster that the work goes on, and hears whether it shall.
func (h heart) show(cancel context.CancelCauseFunc, token []byte, within time.Duration) bool {
	ctx, end := context.WithTimeout(context.Background(), within)
	defer end()
	err := h.record(ctx, token)
	var gone *serviceerror.NotFound
	switch {
	case err == nil:
		return true
	case errors.As(err, &gone): // another worker has it, or the run is over
		cancel(pipeline.ErrLeft)
	case temporal.IsCanceledError(err):
		cancel(errToldToLeave)
		return true
	}
	return false
}

// guard waits for work that was told to end, as long as nobody else can have
// begun it, and then ends the process.
func (h heart) guard(done <-chan struct{}, left time.Duration) {
	timer := time.NewTimer(max(left, 0))
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		select {
		case <-done:
		default:
			if h.fence != nil {
				h.fence()
			}
		}
	}
}
