package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
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
	for _, secret := range spellings(out.Value) {
		_, _ = fmt.Fprintf(w, "::add-mask::%s\n", strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(secret))
	}
}

// spellings are the lines as which a value can stand in a log: its own, those
// of the strings inside it, and each as JSON and as a shell
// writes it.
func spellings(value json.RawMessage) []string {
	var list []string
	add := func(s string) {
		for line := range strings.SplitSeq(s, "\n") {
			if line = strings.TrimRight(line, "\r"); line != "" && !slices.Contains(list, line) {
				list = append(list, line)
			}
		}
	}
	scalars := leaves(value)
	for _, s := range append([]string{text(value)}, scalars...) {
		add(s)
	}
	for _, s := range scalars {
		add(inQuotes(s))
		add(jsonText(s))
		add(inQuotes(jsonText(s)))
	}
	return list
}

// jsonText is a string as it stands between the quotes of a JSON document.
func jsonText(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) != nil {
		return s
	}
	return b.String()[1 : b.Len()-2]
}

// leaves are the strings of a JSON value; keys of objects are none.
func leaves(raw json.RawMessage) []string {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return nil
	}
	return appendLeaves(nil, value)
}

func appendLeaves(list []string, value any) []string {
	switch v := value.(type) {
	case string:
		return append(list, v)
	case []any:
		for _, e := range v {
			list = appendLeaves(list, e)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			list = appendLeaves(list, v[key])
		}
	}
	return list
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
		doc[out.Module][out.Field] = normal(out.Value)
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
	return string(normal(raw))
}

// normal spells JSON in one way, so that what is masked is what is printed.
func normal(raw json.RawMessage) json.RawMessage {
	var value any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&value) != nil {
		return raw
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(value) != nil {
		return raw
	}
	return bytes.TrimSpace(b.Bytes())
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
	return "'" + inQuotes(s) + "'"
}

func inQuotes(s string) string { return strings.ReplaceAll(s, "'", `'\''`) }
