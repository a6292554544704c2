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
// new one begun, and goes on where it stopped. What an earlier move has left at
// the new place, when the state lived there, gives way.
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
	if l.ends(have) {
		return fault.New(fault.Refused, "the state is at that place already").WithHint("nothing was changed")
	}
	if left, err := l.leftAt(ctx, dst); err != nil {
		return err
	} else if left {
		if _, err := dst.Wipe(ctx); err != nil {
			return storage(err, "clear what an earlier move has left at the new place")
		}
		clear(have)
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

// ends tells whether entries end as the log does. The newest entry was just
// written, so no copy has it: they are the log itself.
func (l *Log) ends(have map[uint64]string) bool {
	data, ok := have[l.table.seq]
	if !ok {
		return false
	}
	_, sum, err := decodeBatch([]byte(data))
	return err == nil && sum == l.table.sum
}

// leftAt tells whether dst has this log as it was when it moved away from
// there: all of it is in the log, and nothing there is in force.
func (l *Log) leftAt(ctx context.Context, dst Driver) (bool, error) {
	t := newTable()
	for e, err := range dst.Load(ctx, 0) {
		if err != nil {
			return false, storage(err, "read the new place of the state")
		}
		if t, err = t.next(e); err != nil {
			return false, nil // not ours; what is there is compared with what is here
		}
	}
	return t.relocated != "" && t.lineage == l.table.lineage, nil
}

func copyEntry(ctx context.Context, dst Driver, e Entry) error {
	if e.Snapshot {
		return dst.Compact(ctx, e.Seq, e.Data)
	}
	return dst.Append(ctx, e.Seq, e.Data)
}
