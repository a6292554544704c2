package fakedo

import (
	"sync"
	"time"
)

// A Clock tells the fake what time it is.
type Clock interface {
	Now() time.Time
}

// An Advancer is a Clock that can be moved on.
type Advancer interface {
	Advance(d time.Duration)
}

// FakeClock stands still until it is advanced.
type FakeClock struct {
	mu  sync.Mutex
	now time.Time
}

// NewFakeClock starts at t.
func NewFakeClock(t time.Time) *FakeClock { return &FakeClock{now: t} }

func (c *FakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *FakeClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ScaledClock runs with the real one, so many times as fast, and can be
// advanced: what a person needs who tries things by hand.
type ScaledClock struct {
	mu    sync.Mutex
	start time.Time
	speed float64
	ahead time.Duration
}

// NewScaledClock starts now.
func NewScaledClock(speed float64) *ScaledClock {
	return &ScaledClock{start: time.Now(), speed: speed}
}

func (c *ScaledClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := time.Duration(float64(time.Since(c.start)) * c.speed)
	return c.start.Add(passed + c.ahead)
}

func (c *ScaledClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// An event is a change that is due at a time.
type event struct {
	at time.Time
	do func(now time.Time)
}

// after plans a change. It runs with the server locked, before the first
// request that comes when it is due.
func (s *Server) after(d time.Duration, do func(now time.Time)) {
	at := s.now.Add(d)
	i := len(s.due)
	for i > 0 && s.due[i-1].at.After(at) {
		i--
	}
	s.due = append(s.due, event{})
	copy(s.due[i+1:], s.due[i:])
	s.due[i] = event{at, do}
}

// tick brings the state up to the clock.
func (s *Server) tick() {
	now := s.opts.Clock.Now()
	for len(s.due) > 0 && !s.due[0].at.After(now) {
		e := s.due[0]
		s.due = s.due[1:]
		s.now = e.at
		e.do(e.at)
	}
	s.now = now
}

// advance moves the clock, where it can be moved.
func (s *Server) advance(d time.Duration) {
	if a, ok := s.opts.Clock.(Advancer); ok && d > 0 {
		a.Advance(d)
	}
}
