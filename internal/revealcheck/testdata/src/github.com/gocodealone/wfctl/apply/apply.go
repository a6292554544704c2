// Package apply may in some functions.
package apply

import "github.com/gocodealone/wfctl/sdk"

type work struct{}

func (w *work) recordOutputs(o sdk.Output) int { return len(o.Reveal()) }

func tainted(o sdk.Output) int { return len(o.Reveal()) }

func elsewhere(o sdk.Output) int { return len(o.Reveal()) } // want `sdk.Output.Reveal reveals a secret in elsewhere`

type other struct{}

func (other) recordOutputs(o sdk.Output) int { return len(o.Reveal()) } // want `reveals a secret in other.recordOutputs`
