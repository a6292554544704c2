package state

import (
	"context"
	"iter"
	"time"

	"github.com/gocodealone/wfctl/resource"
)

// HistoryEntry is one line of the history.
type HistoryEntry struct {
	Seq     uint64           `json:"seq"`
	Time    time.Time        `json:"time"`
	Who     string           `json:"who,omitempty"`
	Run     string           `json:"run,omitempty"`
	Kind    string           `json:"entry"`
	Address resource.Address `json:"address,omitempty"`
	Detail  string           `json:"detail,omitempty"`
}

// History yields what happened, oldest first. Of what snapshots have replaced
// it has the newest part.
func (l *Log) History(ctx context.Context) iter.Seq2[HistoryEntry, error] {
	return func(yield func(HistoryEntry, error) bool) {
		if err := l.history(ctx, func(h HistoryEntry) bool { return yield(h, nil) }); err != nil {
			yield(HistoryEntry{}, err)
		}
	}
}

// history reads the log once more and tells each entry, until tell is false.
func (l *Log) history(ctx context.Context, tell func(HistoryEntry) bool) error {
	t := newTable()
	for e, err := range l.load(ctx, 0) {
		if err != nil {
			return storage(err, "read the state")
		}
		if e.Snapshot {
			if t, err = fromSnapshot(e.Seq, e.Data); err != nil {
				return err
			}
			if more, err := unpackHistory(t.history, tell); err != nil || !more {
				return err
			}
			continue
		}
		b, sum, err := decodeBatch(e.Data)
		if err != nil {
			return at(err, e.Seq)
		}
		lines := t.lines(e.Seq, b)
		if err := t.play(e.Seq, sum, len(e.Data), b); err != nil {
			return at(err, e.Seq)
		}
		for _, line := range lines {
			if !tell(line) {
				return nil
			}
		}
	}
	return nil
}

// lines tells what a batch says that is about to be played.
func (t *table) lines(seq uint64, b *batch) []HistoryEntry {
	var list []HistoryEntry
	who := Holder{}
	if t.lease != nil && t.lease.Session == b.Session {
		who = t.lease.Holder
	}
	for i := range b.Items {
		it := &b.Items[i]
		if it.Lease != nil {
			who = it.Lease.Holder
		}
		if it.Released != nil && it.Released.By != nil {
			who = *it.Released.By
		}
		h := HistoryEntry{Seq: seq, Time: b.Time, Run: who.Run}
		if who.Who != "" {
			h.Who = who.Who + "@" + who.Host
		}
		h.Kind, h.Address, h.Detail = t.describe(b, it)
		list = append(list, h)
	}
	return list
}

// describe tells one entry in a few words.
func (t *table) describe(b *batch, it *item) (kind string, addr resource.Address, detail string) {
	switch {
	case it.Genesis != nil:
		return "genesis", "", "lineage " + it.Genesis.Lineage
	case it.Lease != nil:
		return "lease", "", it.Lease.describe()
	case it.Released != nil && it.Released.By != nil:
		return "unlock", "", ""
	case it.Released != nil:
		return "release", "", ""
	case it.Key != nil:
		return "key", "", "fingerprint key " + it.Key.ID
	case it.Intent != nil:
		return "intent", it.Intent.Address, string(it.Intent.Operation) + " " + it.Intent.Type + " " + it.Intent.Name
	case it.Assigned != nil:
		return "assigned", t.intentAddress(b, it.Assigned.Intent), it.Assigned.ID
	case it.Result != nil:
		return "result", t.resultAddress(b, it.Result), resultDetail(&it.Result.Record)
	case it.Forgot != nil:
		return "forgot", it.Forgot.Address, it.Forgot.Deposed
	case it.Abandoned != nil:
		return "abandoned", t.intentAddress(b, it.Abandoned.Intent), ""
	case it.Moved != nil:
		return "moved", it.Moved.From, "to " + keyText(it.Moved.To, it.Moved.ToDeposed)
	case it.Provider != nil:
		return "provider", it.Provider.Address, it.Provider.Kind + " " + it.Provider.Version
	}
	return "relocated", "", "to " + it.Relocated.To
}

// intentAddress finds what an intent is about: pending, or in the same batch.
func (t *table) intentAddress(b *batch, key string) resource.Address {
	if p := t.pending[key]; p != nil {
		return p.Address
	}
	for _, it := range b.Items {
		if it.Intent != nil && it.Intent.Key == key {
			return it.Intent.Address
		}
	}
	return ""
}

func (t *table) resultAddress(b *batch, r *result) resource.Address {
	if r.Same {
		return t.intentAddress(b, r.Intent)
	}
	return r.Record.Address
}

func resultDetail(rec *resource.Record) string {
	if rec.Status == resource.Ready {
		return rec.ID
	}
	return rec.ID + " (" + string(rec.Status) + ")"
}

func keyText(addr resource.Address, deposed string) string {
	if deposed == "" {
		return string(addr)
	}
	return string(addr) + " (deposed " + deposed + ")"
}
