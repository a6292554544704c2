package state

import (
	"context"
	"fmt"

	"github.com/gocodealone/wfctl/fault"
)

// At returns the picture as it was after an entry. What a snapshot covers
// cannot be told apart any more.
func (l *Log) At(ctx context.Context, seq uint64) (*View, error) {
	t := newTable()
	for e, err := range l.load(ctx, 0) {
		switch {
		case err != nil:
			return nil, storage(err, "read the state")
		case e.Snapshot && e.Seq > seq:
			return nil, fault.New(fault.NotFound, "the log has been condensed up to entry %d; entry %d cannot be shown by itself", e.Seq, seq).
				WithHint("`wfctl infra state history` lists what is still there")
		case e.Seq > seq:
			return t.view(), nil
		}
		if t, err = t.next(e); err != nil {
			return nil, err
		}
	}
	if t.seq < seq {
		return nil, fault.New(fault.NotFound, "the log ends at entry %d; there is no entry %d yet", t.seq, seq)
	}
	return t.view(), nil
}

// next plays one loaded entry or snapshot; a number that is missing is damage.
func (t *table) next(e Entry) (*table, error) {
	if e.Snapshot {
		return fromSnapshot(e.Seq, e.Data)
	}
	if e.Seq != t.seq+1 {
		return nil, damaged(fmt.Sprintf("entry %d is missing from the log", t.seq+1))
	}
	b, sum, err := decodeBatch(e.Data)
	if err != nil {
		return nil, at(err, e.Seq)
	}
	return t, at(t.play(e.Seq, sum, len(e.Data), b), e.Seq)
}

// Report is what [Log.Check] found.
type Report struct {
	// Entries are those above the snapshot, which is at number Snapshot (0
	// for none). Bytes is how much all that is.
	Entries  int    `json:"entries"`
	Snapshot uint64 `json:"snapshot,omitempty"`
	Bytes    int    `json:"bytes"`
	// Strays are entries of writers that had lost the lease: no harm.
	Strays    int      `json:"strays,omitempty"`
	Resources int      `json:"resources"`
	Pending   int      `json:"pending,omitempty"`
	Notes     []string `json:"notes,omitempty"`
}

// Check reads the whole log and verifies each entry: its checksum, its format,
// that it follows on the one before. Damage is an error; what the next command
// settles by itself is in the notes. It changes nothing.
func (l *Log) Check(ctx context.Context) (*Report, error) {
	r, t := &Report{}, newTable()
	for e, err := range l.load(ctx, 0) {
		if err != nil {
			return r, storage(err, "read the state")
		}
		r.Bytes += len(e.Data)
		if e.Snapshot {
			r.Snapshot = e.Seq
		} else {
			r.Entries++
			if b, _, err := decodeBatch(e.Data); err == nil {
				if valid, err := t.accepts(b); err == nil && !valid {
					r.Strays++
				}
			}
		}
		if t, err = t.next(e); err != nil {
			return r, err
		}
	}
	r.Resources, r.Pending = len(t.records), len(t.pending)
	r.note(t, l.o)
	if err := l.CheckKey(); err != nil {
		r.Notes = append(r.Notes, err.Error())
	}
	return r, nil
}

func (r *Report) note(t *table, o Options) {
	if t.lease != nil && !o.Now().Before(t.lease.expires()) {
		r.Notes = append(r.Notes, "the lease of "+t.lease.Holder.String()+" has run out; the next command takes it over")
	}
	if r.Pending > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d operations have no result; the next command finds out how they ended", r.Pending))
	}
	if r.Strays > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d entries are of writers that had lost the lease; they count for nothing", r.Strays))
	}
	if t.large() {
		r.Notes = append(r.Notes, "the log is much larger than what it describes; the next apply condenses it")
	}
	if t.relocated != "" {
		r.Notes = append(r.Notes, "the state has moved to "+t.relocated)
	}
}
