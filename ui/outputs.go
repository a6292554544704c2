package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Mask stands for a sensitive value; MaskJSON in JSON.
const (
	Mask     = "***MASKED*** (sensitive — use --show-sensitive to reveal)"
	MaskJSON = "***MASKED***"
)

// Output is one output to print.
type Output struct {
	Module, Field string
	// Value is JSON; it is nil for a sensitive one that was not asked for.
	Value     json.RawMessage
	Sensitive bool
}

// OutputOptions say how.
type OutputOptions struct {
	// Format is value, env or json.
	Format string
	// Bare prints the value alone: for one field.
	Bare bool
	// ShowSensitive reveals; every value revealed is warned about.
	ShowSensitive bool
	// GitHubActions masks each revealed value in the job's log first.
	GitHubActions bool
}

// Outputs prints outputs to w, and warnings to stderr.
func Outputs(w, stderr io.Writer, outputs []Output, o OutputOptions) error {
	if o.ShowSensitive {
		for _, out := range outputs {
			if out.Sensitive {
				reveal(w, stderr, out, o)
			}
		}
	}
	if o.Format == "json" {
		return outputsJSON(w, outputs, o)
	}
	for _, out := range outputs {
		if err := outputLine(w, stderr, out, o); err != nil {
			return err
		}
	}
	return nil
}

// reveal warns that a value is about to be printed and masks it in CI.
func reveal(w, stderr io.Writer, out Output, o OutputOptions) {
	_, _ = fmt.Fprintf(stderr, "WARNING: printing sensitive value '%s' to stdout — ensure terminal is not recorded\n", out.Field)
	if !o.GitHubActions {
		return
	}
	for line := range strings.SplitSeq(text(out.Value), "\n") {
		if line = strings.TrimRight(line, "\r"); line != "" {
			_, _ = fmt.Fprintf(w, "::add-mask::%s\n", strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(line))
		}
	}
}

func outputLine(w, stderr io.Writer, out Output, o OutputOptions) error {
	masked := out.Sensitive && !o.ShowSensitive
	if o.Format == "env" {
		name := envName(out)
		if masked {
			_, err := fmt.Fprintf(stderr, "# %s is sensitive and left out; --show-sensitive prints it\n", name)
			return err
		}
		_, err := fmt.Fprintf(w, "%s=%s\n", name, shellQuote(text(out.Value)))
		return err
	}
	shown := text(out.Value)
	if masked {
		shown = Mask
	}
	if o.Bare {
		_, err := fmt.Fprintln(w, shown)
		return err
	}
	_, err := fmt.Fprintf(w, "%s.%s: %s\n", out.Module, out.Field, shown)
	return err
}

// outputsJSON keeps the types: {"db": {"port": 5432}}.
func outputsJSON(w io.Writer, outputs []Output, o OutputOptions) error {
	doc := map[string]map[string]any{}
	for _, out := range outputs {
		if doc[out.Module] == nil {
			doc[out.Module] = map[string]any{}
		}
		doc[out.Module][out.Field] = out.Value
		if out.Sensitive && !o.ShowSensitive {
			doc[out.Module][out.Field] = MaskJSON
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

// text is a value as a shell wants it: a string without quotes, anything else
// as JSON.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

var notInNames = regexp.MustCompile(`[^A-Z0-9_]`)

// envName is MODULE_FIELD.
func envName(out Output) string {
	name := notInNames.ReplaceAllString(strings.ToUpper(out.Module+"_"+out.Field), "_")
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// shellQuote quotes for a POSIX shell.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
