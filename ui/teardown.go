package ui

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/plan"
)

// Teardown writes what a teardown would do: what goes in the order in which it
// goes, what stays and why, the state, totals and the hash.
func Teardown(w io.Writer, t *plan.Teardown, s Style) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Teardown of %s, environment %s\n\n", t.Environment.Project(), t.Environment.Name())
	for _, f := range t.Found {
		b.WriteString("  " + found(f, s) + "\n")
	}
	b.WriteString("  " + stateFate(t.State, s) + "\n\n")
	b.WriteString(totals(t) + "\n")
	fmt.Fprintf(&b, "Hash of this set: %s\n", t.Hash)
	_, err := io.WriteString(w, b.String())
	return err
}

// found is one line of the preview.
func found(f plan.Found, s Style) string {
	r := f.Record
	text := s.paint(bold, printable(r.Type+" "+r.Name))
	if r.ID != "" && f.Fate != plan.Missing {
		text += fmt.Sprintf(" (provider_id: %s)", printable(r.ID))
	}
	text += " → " + fateWord(f.Fate, s)
	if remarks := foundRemarks(f); len(remarks) > 0 {
		text += "  (" + printable(s.mask(strings.Join(remarks, "; "))) + ")"
	}
	return text
}

func fateWord(f plan.Fate, s Style) string {
	switch f {
	case plan.Doomed:
		return s.paint(red, "DESTROY")
	case plan.Missing:
		return s.paint(dim, "not found — skipping")
	case plan.Unread:
		return s.paint(red, "ERROR")
	}
	return s.paint(yellow, "KEEP")
}

// foundRemarks say why it stays, and who claims what no configuration names.
func foundRemarks(f plan.Found) []string {
	var remarks []string
	if why := f.Why(); why != "" {
		remarks = append(remarks, why)
	}
	if f.Orphan {
		claims := make([]string, len(f.Claims))
		for i, c := range f.Claims {
			claims[i] = string(c)
		}
		slices.Sort(claims)
		remarks = append(remarks, "orphan, claimed by "+strings.Join(claims, ", "))
	} else if f.Untagged && f.Fate == plan.Doomed {
		remarks = append(remarks, "it carries no tags; found by its name")
	}
	return remarks
}

// stateFate is the line about the record.
func stateFate(f plan.StateFate, s Style) string {
	objects := fmt.Sprintf("(%d objects)", f.Objects)
	if f.Objects == 1 {
		objects = "(1 object)"
	}
	text := s.paint(bold, "State prefix "+printable(f.Place)) + " → "
	if f.Wipe {
		text += s.paint(red, "WIPE") + " " + objects
	} else {
		text += s.paint(yellow, "KEEP") + " " + objects + "  (" + f.Reason + ")"
	}
	if f.Trouble != "" {
		text += "\n    " + s.paint(yellow, "warning:") + " it cannot be used, so nothing keeps others from changing this environment meanwhile: " + block(s.mask(f.Trouble), "      ")
	}
	if f.Aside && f.Wipe {
		text += "\n    it cannot be read at all: it is put aside and not deleted, for other environments may be in it"
	}
	return text
}

func totals(t *plan.Teardown) string {
	text := fmt.Sprintf("%d to destroy, %d not found, %d kept", t.Count(plan.Doomed), t.Count(plan.Missing), t.Count(plan.Kept)+t.Count(plan.Foreign)+t.Count(plan.Left))
	if n := t.Count(plan.Left); n > 0 {
		text += fmt.Sprintf(", %d of them in no configuration (--include-orphans adds them)", n)
	}
	if n := t.Count(plan.Unread); n > 0 {
		text += fmt.Sprintf(", %d that could not be asked for", n)
	}
	return text + "."
}

// Torn is the last line of a teardown.
type Torn struct{ Discovered, Modules, Destroyed, Skipped, Errors, Wiped int }

// String is the line.
func (t Torn) String() string {
	return fmt.Sprintf("Discovered %d resources across %d modules; destroyed %d; skipped %d; errors %d. State objects wiped: %d.",
		t.Discovered, t.Modules, t.Destroyed, t.Skipped, t.Errors, t.Wiped)
}
