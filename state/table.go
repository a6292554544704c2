package state

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/gocodealone/wfctl/resource"
)

// table is the log played up to seq. Whoever holds it guards it.
type table struct {
	lineage, project, environment string
	seq                           uint64
	// sum is the checksum of the entry at seq.
	sum       uint32
	records   map[resource.Key]stored
	providers map[resource.Provider]resource.ProviderRecord
	pending   map[string]*pendingState
	order     uint64
	lease     *leaseState
	key       *keyItem
	relocated string
	// history holds the lines of what snapshots have dropped, packed.
	history []byte
	// logBytes counts the entries since the snapshot, liveBytes what a
	// snapshot would hold; floor is the snapshot's number.
	logBytes, liveBytes int
	floor               uint64
}

// stored is a record with the size it has in a snapshot.
type stored struct {
	rec  *resource.Record
	size int
}

// leaseState is a lease and when its holder was last heard of.
type leaseState struct {
	Session string        `json:"s"`
	Holder  Holder        `json:"holder"`
	TTL     time.Duration `json:"ttl"`
	Seen    time.Time     `json:"seen"`
}

func (l *leaseState) expires() time.Time { return l.Seen.Add(l.TTL) }

// pendingState is an intent without a result, and which session it is of.
type pendingState struct {
	resource.Intent
	AssignedID string `json:"assigned,omitempty"`
	Session    string `json:"session"`
	Over       bool   `json:"over,omitempty"`
	Order      uint64 `json:"order"`
}

func newTable() *table {
	return &table{
		records:   map[resource.Key]stored{},
		providers: map[resource.Provider]resource.ProviderRecord{},
		pending:   map[string]*pendingState{},
	}
}

// play takes in the entry after seq. One that its writer had no right to
// write uses up its number and does nothing else: of a session without the
// lease, or a leftover of a log that was here before.
func (t *table) play(seq uint64, sum uint32, size int, b *batch) error {
	valid, err := t.accepts(b)
	if err != nil {
		return err
	}
	t.seq, t.sum = seq, sum
	t.logBytes += size
	if !valid {
		return nil
	}
	for i := range b.Items {
		t.item(b, &b.Items[i])
	}
	if t.lease != nil && t.lease.Session == b.Session {
		t.lease.Seen = b.Time
	}
	return nil
}

// accepts tells whether a batch counts. The holder's own batch that does not
// follow on what is there means that an entry was lost or changed.
func (t *table) accepts(b *batch) (bool, error) {
	follows := b.Prev == t.sum
	switch {
	case t.lease != nil && t.lease.Session == b.Session:
		if !follows {
			return false, damaged("it does not follow on the entry before it")
		}
		return true, nil
	case t.seq == 0:
		if len(b.Items) == 0 || b.Items[0].Genesis == nil {
			return false, damaged("the first entry is not the beginning of a log")
		}
		return true, nil
	case !follows || len(b.Items) == 0:
		return false, nil
	}
	first := b.Items[0]
	return first.Lease != nil || first.Released != nil && first.Released.By != nil, nil
}

// item takes in one entry.
func (t *table) item(b *batch, it *item) {
	switch {
	case it.Genesis != nil:
		t.lineage, t.project, t.environment = it.Genesis.Lineage, it.Genesis.Project, it.Genesis.Environment
	case it.Lease != nil:
		t.takeLease(b, it.Lease)
	case it.Released != nil:
		t.release(it.Released)
	case it.Key != nil:
		t.key = it.Key
	case it.Intent != nil:
		t.order++
		t.pending[it.Intent.Key] = &pendingState{Intent: *it.Intent, Session: b.Session, Order: t.order}
	case it.Assigned != nil:
		if p := t.pending[it.Assigned.Intent]; p != nil {
			p.AssignedID = it.Assigned.ID
		}
	case it.Result != nil:
		t.put(t.fill(it.Result))
		delete(t.pending, it.Result.Intent)
	case it.Forgot != nil:
		t.drop(resource.Key{Address: it.Forgot.Address, Deposed: it.Forgot.Deposed})
		delete(t.pending, it.Forgot.Intent)
	case it.Abandoned != nil:
		delete(t.pending, it.Abandoned.Intent)
	case it.Moved != nil:
		t.move(it.Moved)
	case it.Provider != nil:
		t.providers[it.Provider.Provider] = *it.Provider
	case it.Relocated != nil:
		t.relocated = it.Relocated.To
	}
}

func (t *table) takeLease(b *batch, l *leaseItem) {
	if l.Dead && t.lease != nil {
		t.callsOver(t.lease.Session)
	}
	t.lease = &leaseState{Session: b.Session, Holder: l.Holder, TTL: l.TTL, Seen: b.Time}
}

// release ends the lease. Who gives it back has no call under way any more;
// who breaks another's cannot know.
func (t *table) release(r *released) {
	if t.lease != nil && (r.By == nil || r.Dead) {
		t.callsOver(t.lease.Session)
	}
	t.lease = nil
}

// callsOver notes that the calls of a session have ended.
func (t *table) callsOver(session string) {
	for _, p := range t.pending {
		p.Over = p.Over || p.Session == session
	}
}

// fill gives a result's record what it shares with its intent.
func (t *table) fill(r *result) resource.Record {
	rec := r.Record
	p := t.pending[r.Intent]
	if !r.Same || p == nil {
		return rec
	}
	rec.Address, rec.Deposed, rec.Name, rec.Type, rec.Provider = p.Address, p.Deposed, p.Name, p.Type, p.Provider
	rec.Config, rec.Digest, rec.DependsOn, rec.Lifecycle, rec.Run = p.Config, p.Digest, p.DependsOn, p.Lifecycle, p.Run
	return rec
}

func (t *table) put(rec resource.Record) {
	key := rec.Key()
	size := sizeOf(&rec)
	t.liveBytes += size - t.records[key].size
	t.records[key] = stored{&rec, size}
}

func (t *table) drop(key resource.Key) {
	t.liveBytes -= t.records[key].size
	delete(t.records, key)
}

// move gives a record another key. Where the address itself changes, what
// depends on it follows.
func (t *table) move(m *moved) {
	from := resource.Key{Address: m.From, Deposed: m.FromDeposed}
	old, ok := t.records[from]
	if !ok {
		return
	}
	t.drop(from)
	rec := *old.rec
	rec.Address, rec.Deposed = m.To, m.ToDeposed
	t.put(rec)
	if m.From == m.To {
		return
	}
	for key, s := range t.records {
		if i := slices.Index(s.rec.DependsOn, m.From); i >= 0 {
			dependent := *s.rec
			dependent.DependsOn = slices.Clone(dependent.DependsOn)
			dependent.DependsOn[i] = m.To
			t.records[key] = stored{&dependent, s.size}
		}
	}
}

// sizeOf is about how long a record is in a snapshot.
func sizeOf(r *resource.Record) int {
	n := 200 + len(r.Address) + len(r.Name) + len(r.Type) + len(r.ID) + len(r.Config) + len(r.Digest)
	for name, out := range r.Outputs {
		n += 20 + len(name) + len(out.Value) + len(out.Fingerprint) + 4*len(out.Sealed)/3
	}
	for _, d := range r.DependsOn {
		n += 3 + len(d)
	}
	return n
}

func (t *table) sortedPending() []*pendingState {
	return slices.SortedFunc(maps.Values(t.pending), func(a, b *pendingState) int { return cmp.Compare(a.Order, b.Order) })
}
