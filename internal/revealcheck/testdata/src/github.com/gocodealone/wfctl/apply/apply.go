// Package apply may in some functions.
package apply

import "github.com/gocodealone/wfctl/sdk"

// Keeping is a type with a method that may.
type Keeping struct{}

func (k *Keeping) output(o sdk.Output) int { return len(o.Reveal()) }

func tainted(o sdk.Output) int { return len(o.Reveal()) }

func elsewhere(o sdk.Output) int { return len(o.Reveal()) } // want `sdk.Output.Reveal reveals a secret in elsewhere`

type other struct{}

func (other) output(o sdk.Output) int { return len(o.Reveal()) } // want `reveals a secret in other.output`
