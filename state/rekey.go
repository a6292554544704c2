package state

import (
	"context"
	"maps"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// Rekey seals everything anew with [Options].Sealer: what records hold sealed,
// opened with Former, and the fingerprint key. The log is condensed
// afterwards, so that nothing of the old sealing is left in it. Without a
// Sealer what was sealed is dropped, for it is never kept in plain. It returns
// how many values that were.
func (s *Session) Rekey(ctx context.Context) (int, error) {
	n, old := 0, s.log.o.Former
	for _, rec := range s.log.View().Records {
		changed, err := s.reseal(ctx, old, &rec)
		if err != nil {
			return n, err
		}
		if changed == 0 {
			continue
		}
		if err := s.Result(ctx, "", rec); err != nil {
			return n, err
		}
		n += changed
	}
	if err := s.resealKey(ctx, old); err != nil {
		return n, err
	}
	return n, s.log.compact(ctx)
}

func (s *Session) reseal(ctx context.Context, old Sealer, rec *resource.Record) (int, error) {
	n := 0
	for name, out := range rec.Outputs {
		if len(out.Sealed) == 0 {
			continue
		}
		sealed, err := s.sealAgain(ctx, old, out.Sealed)
		if err != nil {
			return n, err
		}
		if n == 0 {
			rec.Outputs = maps.Clone(rec.Outputs)
		}
		out.Sealed = sealed
		rec.Outputs[name] = out
		n++
	}
	return n, nil
}

// sealAgain opens with the old sealer and seals with the new one.
func (s *Session) sealAgain(ctx context.Context, old Sealer, sealed []byte) ([]byte, error) {
	if s.log.o.Sealer == nil {
		return nil, nil
	}
	if old == nil {
		return nil, fault.New(fault.Usage, "the state is encrypted already; to seal it anew the old key is needed").
			WithHint("name the old encryption too, and have its private key here")
	}
	plain, err := old.Open(ctx, sealed)
	if err != nil {
		return nil, err
	}
	return s.log.o.Sealer.Seal(ctx, plain)
}

// resealKey seals the fingerprint key itself; fingerprints stay as they are.
func (s *Session) resealKey(ctx context.Context, old Sealer) error {
	s.log.mu.Lock()
	known, key := s.log.table.key, s.log.key
	s.log.mu.Unlock()
	if known == nil {
		return nil
	}
	it := &keyItem{ID: known.ID}
	if s.log.o.Sealer != nil {
		var err error
		switch {
		case key != nil && keyID(key) == known.ID:
			it.Sealed, err = s.log.o.Sealer.Seal(ctx, key)
		case known.Sealed != nil:
			it.Sealed, err = s.sealAgain(ctx, old, known.Sealed)
		}
		if err != nil {
			return err
		}
	}
	return s.put(ctx, item{Key: it})
}
