// Package procgroup runs programs that do not outlive this process, and
// neither does what they started: each leads a group of processes, and when
// this process ends before the program has, be it by SIGKILL, the whole group
// is ended. So whoever takes up the work anew does not meet its former self.
//
// On Unix a watchdog does it, a small shell that waits for the end of a pipe
// which this process alone holds open; on Windows, a job object. Linux ends
// the leader of the group by itself too, which is all there is where there is
// no /bin/sh (an image without a shell); elsewhere nothing is ended then.
//
// Out of reach are a process that has left the group (setsid), and what a program
// starts at the very moment in which it is itself started and this process is
// killed; on systems other than Linux, that program too.
package procgroup

import (
	"context"
	"errors"
	"os/exec"
	"time"
)

// ErrStopped is the error of [Run] when the context was done before the
// program.
var ErrStopped = errors.New("the program was stopped")

// Run runs a command to its end. The command is one that was made without a
// context and has not been started; its SysProcAttr is set here.
//
// When ctx is done, the group is asked to end, where the system knows how to
// ask, and what is left of it when its leader has ended or grace is over is
// ended; the error is then [ErrStopped]. Otherwise the error is that of
// [exec.Cmd.Start] or [exec.Cmd.Wait], and what the program left running when
// it ended goes on, by itself.
func Run(ctx context.Context, cmd *exec.Cmd, grace time.Duration) error {
	if ctx.Err() != nil {
		return ErrStopped
	}
	g, err := start(cmd)
	if err != nil {
		return err
	}
	defer g.leave()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		g.stop(ended, grace)
		return ErrStopped
	}
}

// stop ends a group and waits for its leader.
func (g *group) stop(ended <-chan error, grace time.Duration) {
	if g.terminate() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-ended: //nolint:errcheck // it was stopped
			g.kill() // those in the group that did not heed
			return
		case <-timer.C:
		}
	}
	g.kill()
	<-ended //nolint:errcheck // it was stopped
}
