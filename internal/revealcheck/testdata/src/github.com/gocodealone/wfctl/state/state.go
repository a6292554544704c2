// Package state is no place for secrets.
package state

import (
	"fmt"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

type entry struct {
	secret.Value
	out sdk.Output
}

type own struct{}

// Reveal of another type is nobody's business.
func (own) Reveal() string { return "" }

func write(v secret.Value, e entry, s *sdk.Sensitive) {
	fmt.Println(v, v.Len(), own{}.Reveal())
	fmt.Println(v.Reveal())                        // want `secret.Value.Reveal reveals a secret in write`
	fmt.Println(e.Reveal())                        // want `secret.Value.Reveal reveals a secret in write`
	fmt.Println(string(e.out.Reveal()))            // want `sdk.Output.Reveal reveals a secret in write`
	fmt.Println(s.Reveal())                        // want `sdk.Sensitive.Reveal reveals a secret in write`
	_ = v.Use(func(b []byte) error { return nil }) // want `secret.Value.Use reveals a secret in write`
	later := v.Reveal                              // want `secret.Value.Reveal reveals a secret in write`
	_ = later
	_ = secret.Value.Reveal // want `secret.Value.Reveal reveals a secret in write`
}

func (e *entry) text() string {
	return func() string { return e.Value.Reveal() }() // want `secret.Value.Reveal reveals a secret in entry.text`
}

var global = secret.Value{}.Reveal() // want `secret.Value.Reveal reveals a secret in a declaration`
