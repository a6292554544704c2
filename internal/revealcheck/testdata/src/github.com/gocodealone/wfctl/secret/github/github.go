// Package github is a sink, which may.
package github

import "github.com/gocodealone/wfctl/secret"

func seal(v secret.Value) string { return v.Reveal() }
