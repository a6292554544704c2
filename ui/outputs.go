package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
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
	// JQ filters the JSON document: one line for each result, strings without
	// their quotes.
	JQ string
	// Reveal writes a sensitive value past whatever masks w, and that value
	// alone; nil writes it to w.
	Reveal func(text string) error
}

// Outputs prints outputs to w, and warnings to stderr.
func Outputs(w, stderr io.Writer, outputs []Output, o OutputOptions) error {
	if o.Reveal == nil {
		o.Reveal = func(text string) error { _, err := io.WriteString(w, text); return err }
	}
	if o.ShowSensitive {
		for _, out := range outputs {
			if err := reveal(stderr, out, o); err != nil {
				return err
			}
		}
	}
	switch {
	case o.JQ != "":
		return outputsJQ(w, outputs, o)
	case o.Format == "json":
		return outputsJSON(w, outputs, o)
	case o.Format == "env":
		return outputsEnv(w, stderr, outputs, o)
	}
	for _, out := range outputs {
		if err := outputLine(w, out, o); err != nil {
			return err
		}
	}
	return nil
}

// reveal warns that a value is about to be printed and masks it in CI.
func reveal(stderr io.Writer, out Output, o OutputOptions) error {
	if !out.Sensitive {
		return nil
	}
	_, _ = fmt.Fprintf(stderr, "WARNING: printing sensitive value '%s' to stdout — ensure terminal is not recorded\n", out.Field)
	if !o.GitHubActions {
		return nil
	}
	for _, secret := range spellings(out.Value) {
		if err := o.Reveal("::add-mask::" + strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(secret) + "\n"); err != nil {
			return err
		}
	}
	return nil
}

// emit writes a value, past the mask where it was asked for.
func emit(w io.Writer, out Output, o OutputOptions, text string) error {
	if out.Sensitive && o.ShowSensitive {
		return o.Reveal(text)
	}
	_, err := io.WriteString(w, text)
	return err
}

// spellings are the lines as which a value can stand in a log: its own, those
// of the strings inside it, and each as JSON and as a shell writes it. A part
// that is next to nothing, such as a brace, would mask half of the log.
func spellings(value json.RawMessage) []string {
	whole := text(value)
	var list []string
	add := func(s string) {
		for line := range strings.SplitSeq(s, "\n") {
			if line = strings.TrimRight(line, "\r"); (line == whole || telling(line)) && line != "" && !slices.Contains(list, line) {
				list = append(list, line)
			}
		}
	}
	scalars := leaves(value)
	for _, s := range append([]string{whole}, scalars...) {
		add(s)
	}
	for _, s := range scalars {
		add(inQuotes(s))
		add(jsonText(s))
		add(inQuotes(jsonText(s)))
	}
	return list
}

// telling tells whether a part of a secret is one itself.
func telling(part string) bool {
	return utf8.RuneCountInString(part) >= 3 && strings.ContainsFunc(part, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
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

func outputLine(w io.Writer, out Output, o OutputOptions) error {
	head := out.Module + "." + out.Field + ": "
	if o.Bare {
		head = ""
	}
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	shown := text(out.Value)
	if out.Sensitive && !o.ShowSensitive {
		shown = Mask
	}
	return emit(w, out, o, shown+"\n")
}

// outputsEnv writes assignments that a POSIX shell reads, and in comments on
// stderr what is not among them.
func outputsEnv(w, stderr io.Writer, outputs []Output, o OutputOptions) error {
	taken := map[string]Output{}
	for _, out := range outputs {
		name := envName(out)
		value := text(out.Value)
		switch other, twice := taken[name]; {
		case twice:
			return fault.New(fault.Refused, "%s would stand for %s.%s and for %s.%s", name, other.Module, other.Field, out.Module, out.Field).
				WithHint("choose one with --module and --output, or take --format json")
		case out.Sensitive && !o.ShowSensitive:
			_, _ = fmt.Fprintf(stderr, "# %s is sensitive and left out; --show-sensitive prints it\n", name)
			continue
		case strings.ContainsRune(value, 0):
			_, _ = fmt.Fprintf(stderr, "# %s has a NUL character, which no variable can hold, and is left out\n", name)
			continue
		}
		taken[name] = out
		if _, err := io.WriteString(w, name+"="); err != nil {
			return err
		}
		if err := emit(w, out, o, shellQuote(value)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// outputsJSON keeps the types: {"db": {"port": 5432}}. It is written value by
// value, so that no more than what was asked for passes the mask.
func outputsJSON(w io.Writer, outputs []Output, o OutputOptions) error {
	byModule := map[string][]Output{}
	for _, out := range outputs {
		byModule[out.Module] = append(byModule[out.Module], out)
	}
	open, between, end := "{", "", "}\n"
	if len(byModule) > 0 {
		end = "\n}\n"
	}
	for _, module := range slices.Sorted(maps.Keys(byModule)) {
		if _, err := io.WriteString(w, open+between+"\n  "+quote(module)+": {"); err != nil {
			return err
		}
		open, between = "", ","
		if err := moduleJSON(w, byModule[module], o); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, open+end)
	return err
}

func moduleJSON(w io.Writer, outputs []Output, o OutputOptions) error {
	slices.SortStableFunc(outputs, func(a, b Output) int { return strings.Compare(a.Field, b.Field) })
	for i, out := range outputs {
		comma := ","
		if i == 0 {
			comma = ""
		}
		if _, err := io.WriteString(w, comma+"\n    "+quote(out.Field)+": "); err != nil {
			return err
		}
		var value bytes.Buffer
		if json.Indent(&value, shownJSON(out, o), "    ", "  ") != nil {
			value.WriteString("null")
		}
		if err := emit(w, out, o, value.String()); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "\n  }")
	return err
}

// shownJSON is a value as the JSON document holds it.
func shownJSON(out Output, o OutputOptions) json.RawMessage {
	if out.Sensitive && !o.ShowSensitive {
		return json.RawMessage(quote(MaskJSON))
	}
	return normal(out.Value)
}

func quote(s string) string { return `"` + jsonText(s) + `"` }

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

var notInNames = lazyregexp.New(`[^A-Z0-9_]`)

// envName is MODULE_FIELD.
func envName(out Output) string {
	name := notInNames().ReplaceAllString(strings.ToUpper(out.Module+"_"+out.Field), "_")
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
