package core

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/sdk"
)

// masker replaces known secrets in text.
type masker struct{ replacer *strings.Replacer }

// shortest is the length below which a value says nothing: masking every
// "1" would hide the text and not the secret.
const shortest = 3

// newMasker knows each secret, each line of one with several, and how JSON
// writes them.
func newMasker(secrets []string) *masker {
	var forms []string
	for _, s := range secrets {
		lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
		for _, form := range append(lines, s) {
			forms = append(forms, form)
			if quoted, err := json.Marshal(form); err == nil {
				forms = append(forms, strings.Trim(string(quoted), `"`))
			}
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // the longer first
	var pairs []string
	for _, s := range forms {
		if len(s) >= shortest {
			pairs = append(pairs, s, sdk.Mask)
		}
	}
	return &masker{strings.NewReplacer(pairs...)}
}

func (m *masker) apply(s string) string { return m.replacer.Replace(s) }

// text is an output as text: a string without its quotes.
func text(o sdk.Output) string {
	var s string
	if json.Unmarshal(o.Reveal(), &s) == nil {
		return s
	}
	return string(o.Reveal())
}
