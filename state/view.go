package state

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/resource"
)

// View is the state at a sequence number. It does not change.
type View struct {
	Seq       uint64
	Lineage   string
	Records   []resource.Record
	Providers []resource.ProviderRecord
	Pending   []PendingIntent
	// Lease is who holds it; nil for nobody.
	Lease *Holder

	index map[resource.Key]int
}

// PendingIntent is an intent without a result.
type PendingIntent struct {
	resource.Intent
	AssignedID string
	// Over means that its call has ended for certain.
	Over bool
}

// Record returns a record by key.
func (v *View) Record(k resource.Key) (resource.Record, bool) {
	i, ok := v.index[k]
	if !ok {
		return resource.Record{}, false
	}
	return v.Records[i], true
}

// lease is a lease as the log has it.
type lease struct {
	ID      string    `json:"id"`
	Holder  Holder    `json:"holder"`
	Expires time.Time `json:"expires"`
}

// model is the state that entries change.
type model struct {
	seq       uint64
	lineage   string
	records   map[resource.Key]resource.Record
	providers map[resource.Address]resource.ProviderRecord
	pending   map[string]*pendingEntry
	order     []string // keys of pending intents as they came
	lease     *lease
	// ended are leases whose process has said, or is known, to be done.
	ended map[string]bool
	// logged is how many bytes of entries follow the newest snapshot.
	logged int
	cached *View
}

func newModel() *model {
	return &model{
		records: map[resource.Key]resource.Record{}, providers: map[resource.Address]resource.ProviderRecord{},
		pending: map[string]*pendingEntry{}, ended: map[string]bool{},
	}
}

// view returns the current view; it is made once per change.
func (m *model) view() *View {
	if m.cached != nil {
		return m.cached
	}
	v := &View{Seq: m.seq, Lineage: m.lineage, Records: slices.Collect(maps.Values(m.records)), index: make(map[resource.Key]int, len(m.records))}
	slices.SortFunc(v.Records, func(a, b resource.Record) int {
		if c := strings.Compare(string(a.Address), string(b.Address)); c != 0 {
			return c
		}
		return strings.Compare(a.Deposed, b.Deposed)
	})
	for i, r := range v.Records {
		v.index[r.Key()] = i
	}
	for _, addr := range slices.Sorted(maps.Keys(m.providers)) {
		v.Providers = append(v.Providers, m.providers[addr])
	}
	for _, key := range m.order {
		if p, ok := m.pending[key]; ok {
			v.Pending = append(v.Pending, PendingIntent{p.Intent, p.Assigned, m.ended[p.Lease]})
		}
	}
	if m.lease != nil {
		h := m.lease.Holder
		v.Lease = &h
	}
	m.cached = v
	return v
}

// apply takes a batch that is durable.
func (m *model) apply(seq uint64, b *batch, size int) {
	m.seq, m.cached = seq, nil
	m.logged += size
	if b.Lineage != "" {
		m.lineage = b.Lineage
	}
	for i := range b.Entries {
		m.applyEntry(b, &b.Entries[i])
	}
}

func (m *model) applyEntry(b *batch, e *entry) {
	switch e.Kind {
	case kindLease:
		if e.Broke != "" && e.Dead {
			m.ended[e.Broke] = true
		}
		m.lease = &lease{ID: b.Lease, Holder: *e.Holder, Expires: *e.Expires}
	case kindRenew:
		m.lease.Expires = *e.Expires
	case kindRelease:
		m.ended[b.Lease] = true
		m.lease = nil
	case kindIntent:
		m.pending[e.Intent.Key] = &pendingEntry{Intent: *e.Intent, Lease: b.Lease}
		m.order = append(m.order, e.Intent.Key)
	case kindAssigned:
		if p := m.pending[e.Key]; p != nil {
			p.Assigned = e.ID
		}
	case kindResult:
		m.settle(e.Key)
		m.records[e.Record.Key()] = *e.Record
	case kindForgot:
		m.settle(e.Key)
		delete(m.records, resource.Key{Address: e.Address, Deposed: e.Deposed})
	case kindAbandon:
		m.settle(e.Key)
	case kindMove:
		m.move(e)
	case kindProvider:
		m.providers[e.Provider.Address] = *e.Provider
	}
}

func (m *model) settle(key string) {
	if key == "" {
		return
	}
	delete(m.pending, key)
	if len(m.order) > 64 && len(m.order) > 2*len(m.pending) {
		m.order = slices.DeleteFunc(m.order, func(k string) bool { return m.pending[k] == nil })
	}
}

func (m *model) move(e *entry) {
	from := resource.Key{Address: e.Address, Deposed: e.Deposed}
	if rec, ok := m.records[from]; ok {
		delete(m.records, from)
		rec.Address, rec.Deposed = e.To.Address, e.To.Deposed
		m.records[*e.To] = rec
	}
}

// restore begins from a snapshot.
func (m *model) restore(seq uint64, s *snapshot) {
	*m = *newModel()
	m.seq, m.lineage, m.lease = seq, s.Lineage, s.Lease
	for _, r := range s.Records {
		m.records[r.Key()] = r
	}
	for _, p := range s.Providers {
		m.providers[p.Address] = p
	}
	for i := range s.Pending {
		m.pending[s.Pending[i].Intent.Key] = &s.Pending[i]
		m.order = append(m.order, s.Pending[i].Intent.Key)
	}
	for _, id := range s.Ended {
		m.ended[id] = true
	}
}

// snapshot is the reverse of restore.
func (m *model) snapshot(now time.Time) *snapshot {
	v := m.view()
	s := &snapshot{Format: format, Lineage: m.lineage, Time: now, Records: v.Records, Providers: v.Providers, Lease: m.lease}
	for _, key := range m.order {
		if p, ok := m.pending[key]; ok {
			s.Pending = append(s.Pending, *p)
			if m.ended[p.Lease] {
				s.Ended = append(s.Ended, p.Lease)
			}
		}
	}
	return s
}
