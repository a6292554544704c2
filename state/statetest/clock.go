package statetest

import (
	"sync"
	"time"
)

// Clock is a clock that stands still until it is moved. A wait of up to
// [ShortWait] ends at once and moves it: what tries again does not hold up a
// test. It is safe for concurrent use.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	waiting []waiter
}

// ShortWait is the longest wait that ends by itself.
const ShortWait = 5 * time.Second

type waiter struct {
	at time.Time
	ch chan time.Time
}

// NewClock starts a clock at some day.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 4, 24, 10, 0, 0, 0, time.UTC)} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After is time.After on this clock.
func (c *Clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	if d <= ShortWait {
		c.now = c.now.Add(d)
		ch <- c.now
		return ch
	}
	c.waiting = append(c.waiting, waiter{c.now.Add(d), ch})
	return ch
}

// Advance moves the clock and wakes who has waited long enough.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	left := c.waiting[:0]
	for _, w := range c.waiting {
		if w.at.After(c.now) {
			left = append(left, w)
		} else {
			w.ch <- c.now
		}
	}
	c.waiting = left
}
