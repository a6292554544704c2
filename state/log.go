package state

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// Options say whose state it is and where its companions are kept.
type Options struct {
	// ID names the place of the state for ever: backend, location, project,
	// environment.
	ID string
	// KeyDir holds the fingerprint keys and lineage marks: a folder of the
	// user's own, not of the project's; see [KeyDir]. "" keeps both in memory.
	KeyDir string
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// TTL is how long a lease lasts without renewal; 0 is a minute.
	TTL time.Duration
	// Retry waits between attempts after an error of the storage, and while
	// another holds the lease; nil waits on the clock.
	Sleep func(context.Context, time.Duration) error
}

// Log is the state of one environment. It is safe for concurrent use.
type Log struct {
	driver Driver
	o      Options
	key    []byte

	mu    sync.Mutex
	model *model
}

// Open reads the log. An empty one whose place once held resources is an
// error: it is lost, not new.
func Open(ctx context.Context, driver Driver, o Options) (*Log, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TTL == 0 {
		o.TTL = time.Minute
	}
	if o.Sleep == nil {
		o.Sleep = sleepFor
	}
	l := &Log{driver: driver, o: o, model: newModel()}
	if err := l.Refresh(ctx); err != nil {
		return nil, err
	}
	if err := l.checkMark(); err != nil {
		return nil, err
	}
	key, err := loadKey(o.KeyDir, l.model.lineage, o.ID)
	if err != nil {
		return nil, err
	}
	l.key = key
	return l, nil
}

// Close releases the driver.
func (l *Log) Close() error { return l.driver.Close() }

// View is the state as this process last saw it.
func (l *Log) View() *View {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.model.view()
}

// Refresh reads what others appended.
func (l *Log) Refresh(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refresh(ctx)
}

func (l *Log) refresh(ctx context.Context) error {
	for stored, err := range l.driver.Load(ctx, l.model.seq) {
		if err != nil {
			return loadError(err)
		}
		if err := l.take(stored); err != nil {
			return err
		}
	}
	return nil
}

// loadError keeps a driver's own fault and names any other.
func loadError(err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return fault.Wrap(fault.State, err, "read the state").WithHint("nothing was changed; check the storage and try again")
}

// take applies one stored piece.
func (l *Log) take(s Stored) error {
	if s.Snapshot {
		var snap snapshot
		if err := decode(s.Data, &snap, s.Seq); err != nil {
			return err
		}
		l.model.restore(s.Seq, &snap)
		return nil
	}
	if s.Seq != l.model.seq+1 {
		return fault.New(fault.State, "entries %d to %d of the state are missing", l.model.seq+1, s.Seq-1).
			WithHint("nothing was changed; restore the storage from a backup")
	}
	var b batch
	if err := decode(s.Data, &b, s.Seq); err != nil {
		return err
	}
	if b.Format != format || (l.model.lineage == "" && b.Lineage == "") {
		return corrupt(s.Seq, errors.New("it is not an entry of a state"))
	}
	l.model.apply(s.Seq, &b, len(s.Data))
	return nil
}

// HistoryEntry is one line of the history.
type HistoryEntry struct {
	Seq     uint64           `json:"seq"`
	Time    time.Time        `json:"time"`
	Who     string           `json:"who"`
	Run     string           `json:"run,omitempty"`
	Kind    string           `json:"entry"`
	Address resource.Address `json:"address,omitempty"`
	Detail  string           `json:"detail,omitempty"`
}

// History yields what happened, oldest first, as far back as the newest
// snapshot.
func (l *Log) History(ctx context.Context) iter.Seq2[HistoryEntry, error] {
	return func(yield func(HistoryEntry, error) bool) {
		var holder Holder
		for stored, err := range l.driver.Load(ctx, 0) {
			if err != nil {
				yield(HistoryEntry{}, loadError(err))
				return
			}
			lines, err := historyOf(stored, &holder)
			if err != nil {
				yield(HistoryEntry{}, err)
				return
			}
			for _, line := range lines {
				if !yield(line, nil) {
					return
				}
			}
		}
	}
}

// historyOf reads the lines of one stored piece; holder is who writes.
func historyOf(s Stored, holder *Holder) ([]HistoryEntry, error) {
	if s.Snapshot {
		var snap snapshot
		if err := decode(s.Data, &snap, s.Seq); err != nil {
			return nil, err
		}
		if snap.Lease != nil {
			*holder = snap.Lease.Holder
		}
		return []HistoryEntry{{Seq: s.Seq, Time: snap.Time, Kind: "snapshot", Detail: fmt.Sprintf("%d resources; what came before is condensed", len(snap.Records))}}, nil
	}
	var b batch
	if err := decode(s.Data, &b, s.Seq); err != nil {
		return nil, err
	}
	var lines []HistoryEntry
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Holder != nil {
			*holder = *e.Holder
		}
		if e.Kind == kindRenew {
			continue
		}
		lines = append(lines, HistoryEntry{
			Seq: s.Seq, Time: b.Time, Who: holder.User + "@" + holder.Host, Run: holder.Run,
			Kind: string(e.Kind), Address: e.address(), Detail: e.describe(),
		})
	}
	return lines, nil
}

// Unlock breaks the lease, whoever holds it, and tells who that was; nil for
// nobody. A holder that is alive after all can no longer write.
func (l *Log) Unlock(ctx context.Context, by Holder) (*Holder, error) {
	if err := l.Refresh(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	broken := l.model.lease
	l.mu.Unlock()
	if broken == nil {
		return nil, nil
	}
	s, err := l.take0(ctx, by, true)
	if err != nil {
		return nil, err
	}
	return &broken.Holder, s.Release(ctx)
}

// Wipe removes the environment's state and tells how many objects that were.
// It needs the lease, so that nobody works on what goes.
func (s *Session) Wipe(ctx context.Context) (int, error) {
	s.close()
	n, err := s.log.driver.Wipe(ctx)
	if err != nil {
		return n, fault.Wrap(fault.State, err, "wipe the state")
	}
	s.log.mu.Lock()
	s.log.model = newModel()
	s.log.mu.Unlock()
	return n, s.log.unmark()
}

func newID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	return hex.EncodeToString(b[:])
}

func sleepFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
