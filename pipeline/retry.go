package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step"
)

// attempts runs a step under its policies: the breaker sees every attempt,
// and the retries see the breaker.
func (r *run) attempts(ctx context.Context, s Step) (step.Result, error) {
	var policies []failsafe.Policy[step.Result]
	if s.Retry != nil && s.Retry.Attempts > 1 {
		policies = append(policies, r.retry(s))
	}
	if s.Breaker != nil {
		policies = append(policies, r.breaker(s))
	}
	if len(policies) == 0 {
		return r.attempt(ctx, s)
	}
	var last error
	res, err := failsafe.With(policies...).WithContext(ctx).Get(func() (step.Result, error) {
		res, err := r.attempt(ctx, s)
		if err != nil {
			last = err
		}
		return res, err
	})
	if errors.Is(err, circuitbreaker.ErrOpen) {
		err = s.Breaker.open(s.Breaker.key(s))
		if last != nil {
			err = fmt.Errorf("%w; the last one: %w", err, last)
		}
	}
	return res, err
}

func (r *run) retry(s Step) failsafe.Policy[step.Result] {
	t := s.Retry
	b := retrypolicy.NewBuilder[step.Result]().
		HandleIf(func(_ step.Result, err error) bool {
			return errors.Is(err, circuitbreaker.ErrOpen) || step.Retryable(err)
		}).
		WithMaxAttempts(t.Attempts).ReturnLastFailure().
		OnRetryScheduled(func(e failsafe.ExecutionScheduledEvent[step.Result]) {
			r.again(s, e.Attempts(), e.LastError(), e.Delay)
		})
	if t.Delay > 0 {
		if t.MaxDelay > t.Delay && t.Factor > 1 {
			b = b.WithBackoffFactor(t.Delay, t.MaxDelay, t.Factor)
		} else {
			b = b.WithDelay(t.Delay)
		}
		if t.Jitter > 0 {
			b = b.WithJitterFactor(t.Jitter)
		}
	}
	return b.Build()
}

// open is the error of a step that its breaker keeps from being tried.
func (b *Breaker) open(key string) *fault.Error {
	return fault.New(fault.Provider, "its circuit breaker %q is open after %d failures in a row", key, b.Failures).
		WithHint("it is tried again after %s", b.Delay)
}

// Open is the failure of a step that its breaker keeps from being tried, after
// a last one.
func (s *StepSpec) Open(last *Failure) *Failure {
	f := FailureOf(s.Breaker.open(s.Key()))
	if last != nil {
		f.Message += "; the last one: " + last.Message
	}
	return f
}

func (b *Breaker) key(s Step) string {
	if b.Name != "" {
		return b.Name
	}
	return s.Name
}

// breaker finds the step's breaker, which others may share.
func (r *run) breaker(s Step) failsafe.Policy[step.Result] {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := s.Breaker.key(s)
	if b, ok := r.breakers[name]; ok {
		return b
	}
	b := newBreaker(*s.Breaker)
	r.breakers[name] = b
	return b
}

func newBreaker(b Breaker) circuitbreaker.CircuitBreaker[step.Result] {
	return circuitbreaker.NewBuilder[step.Result]().
		WithFailureThreshold(uint(max(b.Failures, 1))).WithSuccessThreshold(uint(max(b.Successes, 1))).WithDelay(b.Delay).Build()
}
