package state

import (
	"bytes"
	"context"
	"testing"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// condensing keeps what is compacted, as a real driver does.
type condensing struct {
	memDriver
	snapshot []byte
}

func (c *condensing) Compact(_ context.Context, _ uint64, data []byte) error {
	c.snapshot = data
	return nil
}

// A new key seals all anew, and nothing of the old sealing stays.
func TestRekey(t *testing.T) {
	ctx, keys, d := t.Context(), t.TempDir(), &condensing{}
	secret := []byte("s3cret")
	old, fresh := xorSealer(7), xorSealer(9)
	sealed, _ := old.Seal(ctx, secret)
	l := mustOpen(t, d, Options{ID: "x", KeyDir: keys, Sealer: old})
	s := mustLock(t, l, Holder{Who: "a"})
	check(t, s.Result(ctx, "", resource.Record{Address: "db", Outputs: map[string]resource.RecordedOutput{
		"url": {Sensitive: true, Fingerprint: l.Fingerprint(secret), Sealed: sealed}, "host": {Value: []byte(`"h"`)},
	}}))
	check(t, s.Release(ctx))

	l = mustOpen(t, d, Options{ID: "x", KeyDir: keys, Sealer: fresh})
	s = mustLock(t, l, Holder{Who: "a"})
	if _, err := s.Rekey(ctx); fault.CodeOf(err) != fault.Usage {
		t.Errorf("without the old key: %v", err)
	}
	check(t, s.Release(ctx))
	l = mustOpen(t, d, Options{ID: "x", KeyDir: t.TempDir(), Sealer: fresh, Former: old})
	s = mustLock(t, l, Holder{Who: "a"})
	n, err := s.Rekey(ctx)
	if err != nil || n != 1 {
		t.Fatalf("%d values, %v", n, err)
	}
	rec, _ := l.View().Record(resource.Key{Address: "db"})
	plain, _ := fresh.Open(ctx, rec.Outputs["url"].Sealed)
	if !bytes.Equal(plain, secret) || rec.Outputs["url"].Fingerprint != l.Fingerprint(secret) {
		t.Errorf("resealed as %q", plain)
	}
	tab, err := fromSnapshot(99, d.snapshot)
	check(t, err)
	if got := tab.records[resource.Key{Address: "db"}].rec.Outputs["url"].Sealed; bytes.Equal(got, sealed) {
		t.Error("the snapshot holds the old sealing")
	}
	check(t, s.Release(ctx))
	elsewhere := mustOpen(t, d, Options{ID: "x", KeyDir: t.TempDir(), Sealer: fresh})
	if elsewhere.Fingerprint(secret) != l.Fingerprint(secret) {
		t.Error("the fingerprint key does not travel with the new sealing")
	}
}
