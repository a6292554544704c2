package state

import (
	"github.com/gocodealone/wfctl/resource"
)

// snapshot stands for all entries up to its number.
type snapshot struct {
	Lineage     string `json:"lineage"`
	Project     string `json:"project"`
	Environment string `json:"env"`
	// Sum is the checksum of the last entry that it stands for.
	Sum       uint32                    `json:"sum"`
	Lease     *leaseState               `json:"lease,omitempty"`
	Key       *keyItem                  `json:"key,omitempty"`
	Providers []resource.ProviderRecord `json:"providers,omitempty"`
	Pending   []*pendingState           `json:"pending,omitempty"`
	Records   []resource.Record         `json:"records,omitempty"`
	Relocated string                    `json:"relocated,omitempty"`
	// History is what the entries said, in short.
	History []byte `json:"history,omitempty"`
}

func (t *table) snapshot() ([]byte, error) {
	v := t.view()
	s := snapshot{
		Lineage: t.lineage, Project: t.project, Environment: t.environment, Sum: t.sum, Lease: t.lease, Key: t.key,
		Providers: v.Providers, Pending: t.sortedPending(), Records: v.Records, Relocated: t.relocated, History: t.history,
	}
	data, _, err := encode(snapshotMagic, s)
	return data, err
}

// fromSnapshot makes the table that a snapshot describes.
func fromSnapshot(seq uint64, data []byte) (*table, error) {
	var s snapshot
	if _, err := decode(snapshotMagic, data, &s); err != nil {
		return nil, err
	}
	if s.Lineage == "" {
		return nil, damaged("a snapshot names no lineage")
	}
	t := newTable()
	t.lineage, t.project, t.environment = s.Lineage, s.Project, s.Environment
	t.seq, t.floor, t.sum = seq, seq, s.Sum
	t.lease, t.key, t.relocated, t.history = s.Lease, s.Key, s.Relocated, s.History
	for _, p := range s.Providers {
		t.providers[p.Provider] = p
	}
	for _, p := range s.Pending {
		if p == nil {
			return nil, damaged("a snapshot holds an intent of nothing")
		}
		t.pending[p.Key] = p
		t.order = max(t.order, p.Order)
	}
	t.records = make(map[resource.Key]stored, len(s.Records))
	for i := range s.Records {
		t.put(s.Records[i])
	}
	return t, nil
}
