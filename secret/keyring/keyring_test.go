package keyring_test

import (
	"encoding/json"
	"errors"
	"testing"

	system "github.com/zalando/go-keyring"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
	"github.com/gocodealone/wfctl/secret/keyring"
)

// The library's own stand-in for the system's keyring: there is none where
// tests run.
func TestKeyring(t *testing.T) {
	system.MockInit()
	target := secret.Target{Name: "TOKEN", Options: json.RawMessage(`{"service": "shop"}`)}
	sink := keyring.Sink{}
	if _, found, err := sink.Read(t.Context(), target); err != nil || found {
		t.Errorf("%v %v", found, err)
	}
	if _, err := sink.Write(t.Context(), secret.Request{Target: target, Value: secret.FromString("v\n1")}); err != nil {
		t.Fatal(err)
	}
	if got, _ := system.Get("shop", "TOKEN"); got != "v\n1" {
		t.Errorf("%q", got)
	}
	if v, found, err := sink.Read(t.Context(), target); err != nil || !found || v.Reveal() != "v\n1" {
		t.Errorf("%v %v", found, err)
	}
	for range 2 {
		if err := sink.Retire(t.Context(), target); err != nil {
			t.Error(err)
		}
	}
	system.MockInitWithError(errors.New("no bus"))
	if _, err := sink.Status(t.Context(), target); fault.CodeOf(err) != fault.Environment {
		t.Errorf("%v", err)
	}
}
