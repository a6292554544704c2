// Package memory keeps events in memory: for tests, and for commands whose
// history nobody asks for.
package memory

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/event"
)

// New makes an empty driver.
func New() event.Driver { return &driver{runs: map[string]*run{}} }

type driver struct {
	mu    sync.RWMutex
	runs  map[string]*run
	order []*run
}

type run struct {
	event.Run
	records []event.Record
}

// Append implements event.Driver.
func (d *driver) Append(_ context.Context, batches []event.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range batches {
		b := &batches[i]
		r := d.runs[b.Run]
		if r == nil {
			r = &run{Run: event.Run{ID: b.Run, Status: event.Running, Started: b.At}}
			d.runs[b.Run] = r
			d.order = append(d.order, r)
		}
		b.First = uint64(len(r.records)) + 1
		for j, e := range b.Events {
			r.records = append(r.records, event.Record{Seq: b.First + uint64(j), At: b.At, Event: e})
			r.note(e)
		}
	}
	return nil
}

func (r *run) note(e event.Event) {
	switch e := e.(type) {
	case event.RunStarted:
		first := r.Started
		r.Run = e.Open()
		if e.Resumed {
			r.Started = first
		}
	case event.RunFinished:
		r.Run = r.Close(e)
	}
}

// Load implements event.Driver.
func (d *driver) Load(_ context.Context, name string, after uint64) iter.Seq2[event.Record, error] {
	return func(yield func(event.Record, error) bool) {
		d.mu.RLock()
		r := d.runs[name]
		var records []event.Record
		if r != nil && after < uint64(len(r.records)) {
			records = r.records[after:len(r.records):len(r.records)]
		}
		d.mu.RUnlock()
		for _, rec := range records {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// Runs implements event.Driver.
func (d *driver) Runs(_ context.Context, q event.Query) ([]event.Run, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var list []event.Run
	for _, r := range slices.Backward(d.order) {
		if q.Wants(r.Run) {
			list = append(list, r.Run)
		}
	}
	slices.SortStableFunc(list, func(a, b event.Run) int { return b.Started.Compare(a.Started) })
	if q.Limit > 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	return list, nil
}

// Projects implements event.Driver.
func (d *driver) Projects(context.Context) ([]string, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var names []string
	for _, r := range d.order {
		if r.Project != "" {
			names = append(names, r.Project)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Prune implements event.Driver.
func (d *driver) Prune(_ context.Context, before time.Time, keep int) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.SortStableFunc(d.order, func(a, b *run) int { return a.Started.Compare(b.Started) })
	extra := len(d.order) - keep
	var rest []*run
	for i, r := range d.order {
		if r.Started.Before(before) || i < extra && r.Status != event.Running {
			delete(d.runs, r.ID)
			continue
		}
		rest = append(rest, r)
	}
	n := len(d.order) - len(rest)
	d.order = rest
	return n, nil
}

// Delete implements event.Driver.
func (d *driver) Delete(_ context.Context, runs []string) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := len(d.order)
	d.order = slices.DeleteFunc(d.order, func(r *run) bool { return slices.Contains(runs, r.ID) })
	for _, name := range runs {
		delete(d.runs, name)
	}
	return before - len(d.order), nil
}

// Close implements event.Driver.
func (d *driver) Close() error { return nil }
