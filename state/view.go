package state

import (
	"cmp"
	"slices"
	"time"

	"github.com/gocodealone/wfctl/resource"
)

// View is what the log says at one moment. It does not change; whoever has
// one changes nothing in it.
type View struct {
	Lineage, Project, Environment string
	// Seq is the number of the last entry; it serves as the serial.
	Seq uint64
	// Records are sorted by key.
	Records   []resource.Record
	Providers []resource.ProviderRecord
	// Pending are the intents without a result, in the order they came.
	Pending []PendingIntent
	// Lease is who holds the lease, nil for nobody; LeaseExpires is when it
	// ends unless it is renewed.
	Lease        *Holder
	LeaseExpires time.Time
	// MovedTo names where the state lives now; "" for here.
	MovedTo string
}

// PendingIntent is an intent without a result.
type PendingIntent struct {
	resource.Intent
	// AssignedID is what the platform named the resource, where known.
	AssignedID string
	// Over means that the call has ended for certain: its process gave the
	// lease back, or is known to be gone.
	Over bool
}

// Record returns the record of a key.
func (v *View) Record(key resource.Key) (resource.Record, bool) {
	i, ok := slices.BinarySearchFunc(v.Records, key, func(r resource.Record, k resource.Key) int { return compareKeys(r.Key(), k) })
	if !ok {
		return resource.Record{}, false
	}
	return v.Records[i], true
}

func compareKeys(a, b resource.Key) int {
	return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Deposed, b.Deposed))
}

// view makes the picture of a table.
func (t *table) view() *View {
	v := &View{
		Lineage: t.lineage, Project: t.project, Environment: t.environment, Seq: t.seq, MovedTo: t.relocated,
		Records:   make([]resource.Record, 0, len(t.records)),
		Providers: make([]resource.ProviderRecord, 0, len(t.providers)),
		Pending:   make([]PendingIntent, 0, len(t.pending)),
	}
	for _, r := range t.records {
		v.Records = append(v.Records, *r.rec)
	}
	slices.SortFunc(v.Records, func(a, b resource.Record) int { return compareKeys(a.Key(), b.Key()) })
	for _, p := range t.providers {
		v.Providers = append(v.Providers, p)
	}
	slices.SortFunc(v.Providers, func(a, b resource.ProviderRecord) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Kind, b.Kind))
	})
	for _, p := range t.sortedPending() {
		v.Pending = append(v.Pending, PendingIntent{Intent: p.Intent, AssignedID: p.AssignedID, Over: p.Over})
	}
	if t.lease != nil {
		holder := t.lease.Holder
		v.Lease, v.LeaseExpires = &holder, t.lease.expires()
	}
	return v
}
