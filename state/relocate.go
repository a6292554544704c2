package state

import (
	"context"

	"github.com/gocodealone/wfctl/fault"
)

// Relocate copies the whole log to another, empty driver, byte for byte, and
// then ends it here: whoever opens it here afterwards is told where it went.
// to names the new place to people. The session ends; the lease at the new
// place is free. The new place is complete before the old one ends, so that a
// crash in between leaves the old one in force; the next try then finds the
// new one begun, and goes on where it stopped.
func (s *Session) Relocate(ctx context.Context, to string, dst Driver) error {
	if err := s.put(ctx, item{Released: &released{}}); err != nil { // copied with the rest: free over there
		return err
	}
	s.stop()
	l := s.log
	if err := l.copyTo(ctx, dst); err != nil {
		return err
	}
	last := newSession(l)
	end := []item{{Lease: &leaseItem{Holder: Holder{Who: "move"}, TTL: l.o.LeaseTTL}}, {Relocated: &relocated{To: to}}, {Released: &released{}}}
	if err := last.write(ctx, end, func(t *table) bool { return t.relocated == to }); err != nil {
		return fault.Wrap(fault.State, err, "end the state at its old place").
			WithHint("somebody wrote there meanwhile; nothing is lost there. Wipe the new place and move again")
	}
	if l.o.KeyDir == "" {
		return nil
	}
	return Reset(l.o.KeyDir, l.o.ID)
}

// copyTo copies what dst lacks. What is there already must be the same.
func (l *Log) copyTo(ctx context.Context, dst Driver) error {
	l.io.Lock()
	defer l.io.Unlock()
	have := map[uint64]string{}
	for e, err := range dst.Load(ctx, 0) {
		if err != nil {
			return storage(err, "read the new place of the state")
		}
		have[e.Seq] = string(e.Data)
	}
	for e, err := range l.load(ctx, 0) {
		if err != nil {
			return storage(err, "read the state")
		}
		if old, ok := have[e.Seq]; ok {
			if old != string(e.Data) {
				return fault.New(fault.State, "there is another state at the new place").WithHint("move to an empty place")
			}
			delete(have, e.Seq)
			continue
		}
		if err := copyEntry(ctx, dst, e); err != nil {
			return storage(err, "write the new place of the state")
		}
	}
	if len(have) > 0 {
		return fault.New(fault.State, "there is another state at the new place").WithHint("move to an empty place")
	}
	return nil
}

func copyEntry(ctx context.Context, dst Driver, e Entry) error {
	if e.Snapshot {
		return dst.Compact(ctx, e.Seq, e.Data)
	}
	return dst.Append(ctx, e.Seq, e.Data)
}
