package build

import "testing"

// What every plan pays for an image whose source did not change.
func BenchmarkFingerprint(b *testing.B) {
	s := Spec{Name: "x", BaseDir: ".", Options: []byte(`{"package": "../cmd/wfctl", "dir": "."}`)}
	for b.Loop() {
		if _, err := (Go{}).Fingerprint(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}
