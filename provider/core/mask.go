package core

import (
	"encoding/json"

	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/secret"
)

// redactorOf knows the secrets that a command is given.
func redactorOf(secrets []string) *secret.Redactor {
	r := secret.NewRedactor()
	for _, s := range secrets {
		r.Add(secret.FromString(s))
	}
	return r
}

// text is an output as text: a string without its quotes.
func text(o sdk.Output) string {
	var s string
	if json.Unmarshal(o.Reveal(), &s) == nil {
		return s
	}
	return string(o.Reveal())
}
