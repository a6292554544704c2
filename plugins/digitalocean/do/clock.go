package do

import (
	"context"
	"time"
)

// Clock is what waiting goes by. Tests give one that moves on by itself.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or the context's error as soon as that ends.
	Sleep(ctx context.Context, d time.Duration) error
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// backoff gives the waits between attempts: first, then half as much again
// each time, never more than most.
type backoff struct{ next, most time.Duration }

func (b *backoff) wait() time.Duration {
	d := b.next
	b.next = min(b.next*3/2, b.most)
	return d
}

// await asks again and again until done says so. It gives up when the limit
// has passed, with an error that says what was being waited for. An error of
// done ends it.
func (a *account) await(ctx context.Context, what string, limit time.Duration, done func(ctx context.Context) (bool, error)) error {
	until := a.clock.Now().Add(limit)
	pause := backoff{a.poll, 8 * a.poll}
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		if a.clock.Now().After(until) {
			return deadline("%s: it is not done after %s", what, limit)
		}
		if err := a.clock.Sleep(ctx, pause.wait()); err != nil {
			return err
		}
	}
}
