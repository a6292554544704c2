package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// Options say whose log it is and what surrounds it.
type Options struct {
	// ID names the place of the state for ever (backend, location, project,
	// environment), so that this machine remembers that a state was there. It
	// is kept as a hash alone.
	ID string
	// Location says to a person where the state is, without credentials.
	Location string
	// Project and Environment are whose state it is; a log of another one is
	// refused. Both may be "".
	Project, Environment string
	// KeyDir holds the fingerprint keys and what this machine remembers of
	// states: a folder of the user's own, see [KeyDir]. "" keeps both in memory.
	KeyDir string
	// Sealer lets the fingerprint key travel with the state; nil for none.
	// Former opens what an earlier one has sealed, for [Session.Rekey].
	Sealer, Former Sealer
	// LeaseTTL is how long a lease lasts without a sign of life; 0 is a minute.
	LeaseTTL time.Duration
	// Now and After are the clock; nil is the system's.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time

	processes processes
}

// command is a command of wfctl for this environment.
func (o *Options) command(words string) string {
	if o.Environment != "" && o.Environment != "default" { // a file without environments has that one
		words += " --env " + o.Environment
	}
	return "wfctl " + words
}

func (o *Options) setDefaults() {
	if o.LeaseTTL == 0 {
		o.LeaseTTL = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.processes == nil {
		o.processes = system{}
	}
	if o.Location == "" {
		o.Location = "its place"
	}
}

// Sealer encrypts for the record, with whatever key the state names.
type Sealer interface {
	Seal(ctx context.Context, plain []byte) ([]byte, error)
	Open(ctx context.Context, sealed []byte) ([]byte, error)
}

// Log is an open state. It is safe for concurrent use.
type Log struct {
	driver Driver
	o      Options

	// io lets one at a time talk to the driver and extend the table.
	io sync.Mutex
	// watch is an append in doubt, looked out for while reading.
	watch *watch

	mu      sync.Mutex
	table   *table
	view    *View
	session *Session
	key     []byte
	place   place
	// pulled is when everything up to the end was last read.
	pulled time.Time
}

// watch is an entry of which it is not known whether it was stored.
type watch struct {
	seq  uint64
	data []byte
	seen bool
}

// Open reads the log. A state that is empty although this machine has seen
// one with resources in it is an error and never "nothing there". [Log.Close]
// closes the driver; when Open fails, that is its caller's.
func Open(ctx context.Context, d Driver, o Options) (*Log, error) {
	o.setDefaults()
	l := &Log{driver: d, o: o, table: newTable()}
	var err error
	// Before the log: what another process notes while it is read must not
	// make it look older than it is.
	if l.place, err = loadPlace(o); err != nil {
		return nil, err
	}
	if err := l.Refresh(ctx); err != nil {
		return nil, err
	}
	if err := l.checkOwner(); err != nil {
		return nil, err
	}
	if err := l.place.check(o, l.table); err != nil {
		return nil, err
	}
	return l, l.findKey(ctx)
}

// checkOwner refuses a log that belongs to somebody else.
func (l *Log) checkOwner() error {
	t := l.table
	other := func(recorded, ours string) bool { return recorded != "" && ours != "" && recorded != ours }
	if !other(t.project, l.o.Project) && !other(t.environment, l.o.Environment) {
		return nil
	}
	return fault.Wrap(fault.State, ErrForeign, "the state at %s belongs to environment %q of project %q, and this is %q of %q",
		l.o.Location, t.environment, t.project, l.o.Environment, l.o.Project).
		WithHint("give each project its own place (prefix, path, schema) in the module iac.state")
}

// Close lets go of the driver. A session that was not released stays in the
// log as if its process had died.
func (l *Log) Close() error {
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s != nil {
		s.stop()
	}
	return l.driver.Close()
}

// View returns the present picture.
func (l *Log) View() *View {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.view == nil {
		l.view = l.table.view()
	}
	return l.view
}

// Record returns one record without making a whole view.
func (l *Log) Record(key resource.Key) (resource.Record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.table.records[key]
	if !ok {
		return resource.Record{}, false
	}
	return *s.rec, true
}

// Objects is how many objects of the backend the state is now.
func (l *Log) Objects(ctx context.Context) (int, error) {
	n, err := l.driver.Objects(ctx)
	if err != nil {
		return 0, storage(err, "count the state's objects")
	}
	return n, nil
}

// Refresh reads what others have appended. It notices when the log that it
// knew has been wiped meanwhile.
func (l *Log) Refresh(ctx context.Context) error {
	l.io.Lock()
	defer l.io.Unlock()
	lineage := l.table.lineage
	known, err := loadPlace(l.o) // before the log, as in Open
	if err != nil {
		return err
	}
	same, err := l.tailStands(ctx)
	if err != nil {
		return err
	}
	if !same {
		l.replace(newTable())
	}
	if err := l.pull(ctx); err != nil {
		return err
	}
	if lineage == "" || l.table.lineage == lineage {
		return nil
	}
	l.setKey(nil)
	return known.check(l.o, l.table)
}

// tailStands tells whether the last entry that is known is still there, or is
// covered by a snapshot.
func (l *Log) tailStands(ctx context.Context) (bool, error) {
	t := l.table
	if t.seq == 0 {
		return true, nil
	}
	for e, err := range l.load(ctx, t.seq-1) {
		switch {
		case err != nil:
			return false, storage(err, "read the state")
		case e.Snapshot:
			s, err := fromSnapshot(e.Seq, e.Data)
			return err == nil && s.lineage == t.lineage && (e.Seq > t.seq || s.sum == t.sum), err
		case e.Seq != t.seq:
			return false, nil
		}
		_, sum, err := decodeBatch(e.Data)
		return sum == t.sum, at(err, e.Seq)
	}
	return false, nil
}

// How often a reader starts again when it meets a gap: each time somebody has
// compacted the log in between.
const maxGaps = 5

// pull plays what is new. Its caller holds io.
func (l *Log) pull(ctx context.Context) error {
	for range maxGaps {
		whole, err := l.pullOnce(ctx)
		if err == nil && whole {
			l.mu.Lock()
			l.pulled = l.o.Now()
			l.mu.Unlock()
		}
		if err != nil || whole {
			return err
		}
		l.replace(newTable())
	}
	return damaged("an entry is missing from the log")
}

// reload reads everything again.
func (l *Log) reload(ctx context.Context) error {
	l.replace(newTable())
	return l.pull(ctx)
}

func (l *Log) replace(t *table) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table, l.view = t, nil
}

// pullOnce reads on from where the table ends; false where there is a gap.
func (l *Log) pullOnce(ctx context.Context) (bool, error) {
	for e, err := range l.load(ctx, l.table.seq) {
		if err != nil {
			return false, storage(err, "read the state")
		}
		switch {
		case e.Seq <= l.table.seq:
		case e.Snapshot:
			t, err := fromSnapshot(e.Seq, e.Data)
			if err != nil {
				return false, err
			}
			l.replace(t)
		case e.Seq != l.table.seq+1:
			return false, nil
		default:
			if err := l.take(e); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// take plays one entry that was read.
func (l *Log) take(e Entry) error {
	b, sum, err := decodeBatch(e.Data)
	if err != nil {
		return at(err, e.Seq)
	}
	if w := l.watch; w != nil && w.seq == e.Seq {
		w.seen = bytes.Equal(w.data, e.Data)
	}
	return at(l.extend(e.Seq, sum, len(e.Data), b), e.Seq)
}

func (l *Log) extend(seq uint64, sum uint32, size int, b *batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.view = nil
	return l.table.play(seq, sum, size, b)
}

// at adds which entry an error is about.
func at(err error, seq uint64) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	return f.WithDetail(fmt.Sprintf("entry %d", seq))
}

// storage makes a fault of a driver's error, unless it is one.
func storage(err error, doing string) error {
	var f *fault.Error
	if errors.As(err, &f) || errors.Is(err, context.Canceled) {
		return err
	}
	return fault.Wrap(fault.State, err, "%s", doing).
		WithHint("what was recorded before is intact; see that the backend can be reached and has room, then run this again")
}
