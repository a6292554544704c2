// Package kmstest is a key service that answers as the real ones do, as far as
// the drivers ask: a small server on loopback that encrypts by reversing the
// bytes. It is imported by tests alone.
package kmstest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/gocodealone/wfctl/state/kms"
)

// Serve starts a server that calls answer with each request and its decoded
// body, and returns its address.
func Serve(t testing.TB, answer func(r *http.Request, in map[string]any) (out any, status int)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := map[string]any{}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, status := answer(r, in)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Reverse is the cipher.
func Reverse[T ~[]byte | ~string](text T) T {
	raw := []byte(text)
	slices.Reverse(raw)
	return T(raw)
}

// Run seals and opens with two keepers of one key.
func Run(t *testing.T, a, b kms.Keeper) {
	t.Helper()
	plain := []byte("the data key of thirty-two bytes")
	sealed, err := a.Encrypt(t.Context(), plain)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Decrypt(t.Context(), sealed)
	if err != nil || string(got) != string(plain) {
		t.Fatalf("%q, %v", got, err)
	}
}

// Getenv makes an environment of pairs.
func Getenv(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}
