package temporal

import (
	"time"

	"github.com/gocodealone/wfctl/pipeline"
)

// breaker is a circuit breaker over the workflow's own clock: a workflow may
// not look at another one.
type breaker struct {
	of        pipeline.Breaker
	open      bool
	since     time.Time
	failures  int
	trials    int
	successes int
}

// allow tells whether an attempt may be made now.
func (b *breaker) allow(now time.Time) bool {
	if !b.open {
		return true
	}
	if now.Before(b.since.Add(b.of.Delay)) || b.trials >= max(1, b.of.Successes) {
		return false
	}
	b.trials++
	return true
}

// record takes how an attempt went.
func (b *breaker) record(now time.Time, ok bool) {
	switch {
	case ok && !b.open:
		b.failures = 0
	case ok:
		if b.successes++; b.successes >= max(1, b.of.Successes) {
			*b = breaker{of: b.of}
		}
	case b.open:
		b.since, b.trials, b.successes = now, 0, 0
	default:
		if b.failures++; b.failures >= max(1, b.of.Failures) {
			b.open, b.since, b.trials, b.successes = true, now, 0, 0
		}
	}
}
