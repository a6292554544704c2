package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/gocodealone/wfctl/internal/lazyregexp"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/sdk"
)

// symbols stand before each change.
var symbols = map[plan.Action][2]string{
	plan.ActionDelete:  {"-", red},
	plan.ActionReplace: {"±", red},
	plan.ActionForget:  {"?", yellow},
	plan.ActionCreate:  {"+", green},
	plan.ActionAdopt:   {"<", cyan},
	plan.ActionUpdate:  {"~", yellow},
}

// Plan writes what a plan would do, destroys first.
func Plan(w io.Writer, p *plan.Plan, s Style) error {
	var b strings.Builder
	for _, m := range p.Moved {
		fmt.Fprintf(&b, "  > %s moves to %s\n", m.From, m.To)
	}
	for _, c := range p.Changes {
		if c.Action() != plan.ActionNoOp {
			b.WriteString(change(c, s))
		}
	}
	for _, k := range p.Kept() {
		fmt.Fprintf(&b, "  = %s  %s\n", k.Address(), k.Reason())
	}
	for _, d := range p.Warnings {
		fmt.Fprintf(&b, "  %s %s\n", s.paint(yellow, "warning:"), block(s.mask(d.Message), "    "))
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	b.WriteString(Counts(p.Counts(), p.Environment.Name()) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Counts is the line that sums a plan up.
func Counts(counts map[string]int, env string) string {
	var parts []string
	for _, a := range []plan.Action{plan.ActionCreate, plan.ActionAdopt, plan.ActionUpdate, plan.ActionReplace, plan.ActionDelete, plan.ActionForget} {
		if n := counts[string(a)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n, a))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprintf("No changes in %s: %d as they should be.", env, counts[string(plan.ActionNoOp)])
	}
	return fmt.Sprintf("Plan for %s: %s, %d unchanged.", env, strings.Join(parts, ", "), counts[string(plan.ActionNoOp)])
}

func change(c plan.Change, s Style) string {
	var b strings.Builder
	mark := symbols[c.Action()]
	name := string(c.Address())
	if c.Name() != name {
		name += " (" + c.Name() + ")"
	}
	if c.Key().Deposed != "" {
		name += " [deposed]"
	}
	fmt.Fprintf(&b, "  %s %s  %s", s.paint(mark[1], mark[0]), s.paint(bold, name), c.Type())
	verb := string(c.Action())
	if r, ok := c.(*plan.Replace); ok {
		verb = "replace: delete, then create"
		if r.CreateFirst {
			verb = "replace: create, then delete"
		}
	}
	fmt.Fprintf(&b, "  %s", s.paint(mark[1], verb))
	if c.Reason() != "" {
		fmt.Fprintf(&b, "  (%s)", printable(s.mask(c.Reason())))
	}
	b.WriteString("\n")
	for _, f := range c.Fields() {
		b.WriteString("      " + field(c.Action(), f, s) + "\n")
	}
	for _, n := range c.Notes() {
		fmt.Fprintf(&b, "      %s %s\n", s.paint(dim, "note:"), block(s.mask(n.Message), "        "))
	}
	return b.String()
}

// field shows one difference: path: before -> after.
func field(a plan.Action, f sdk.FieldChange, s Style) string {
	path := printable(strings.TrimSpace(f.Path.Dotted()))
	after := value(f.After, f, s)
	line := path + ": " + after
	if a != plan.ActionCreate && a != plan.ActionAdopt {
		line = path + ": " + value(f.Before, sdk.FieldChange{Sensitive: f.Sensitive}, s) + " -> " + after
	}
	if f.Action == sdk.ActionReplace {
		line += s.paint(red, "  # replaces it")
	}
	if f.Reason != "" {
		line += s.paint(dim, "  # "+s.mask(f.Reason))
	}
	return line
}

func value(raw json.RawMessage, f sdk.FieldChange, s Style) string {
	switch {
	case f.Unknown:
		return "(known after apply)"
	case f.Sensitive:
		return "(sensitive)"
	case raw == nil:
		return "(none)"
	}
	text := printable(s.mask(plain(raw)))
	if r := []rune(text); len(r) > 200 {
		text = string(r[:200]) + fmt.Sprintf("… (%d more characters)", len(r)-200)
	}
	return text
}

// markdownLimit keeps a comment under the 65,536 characters that GitHub takes.
const markdownLimit = 64_000

// PlanMarkdown writes a plan for a pull request, destroys first; what does
// not fit is counted.
func PlanMarkdown(w io.Writer, p *plan.Plan) error {
	s := Style{Mask: maskOf(w)}
	var head, changes, rest strings.Builder
	fmt.Fprintf(&head, "### %s\n\n", Counts(p.Counts(), p.Environment.Name()))
	left := 0
	add := func(to *strings.Builder, text string) {
		if left > 0 || head.Len()+changes.Len()+rest.Len()+len(text) > markdownLimit {
			left++
			return
		}
		to.WriteString(text)
	}
	for _, c := range p.Changes {
		if c.Action() != plan.ActionNoOp {
			add(&changes, change(c, s))
		}
	}
	for _, line := range remarks(p, s) {
		add(&rest, line)
	}
	if changes.Len() > 0 {
		fence := fenceFor(changes.String())
		fmt.Fprintf(&head, "%sdiff\n%s%s\n", fence, changes.String(), fence)
	}
	head.WriteString(rest.String())
	if left > 0 {
		fmt.Fprintf(&head, "\n…and %d more: see `wfctl infra plan`.\n", left)
	}
	_, err := io.WriteString(w, head.String())
	return err
}

// remarks are the items of a plan that are no changes, as Markdown.
func remarks(p *plan.Plan, s Style) []string {
	var lines []string
	for _, m := range p.Moved {
		lines = append(lines, fmt.Sprintf("- `%s` moves to `%s`\n", m.From, m.To))
	}
	for _, k := range p.Kept() {
		lines = append(lines, fmt.Sprintf("- `%s` %s\n", k.Address(), k.Reason()))
	}
	for _, d := range p.Warnings {
		lines = append(lines, fmt.Sprintf("- warning: %s\n", block(s.mask(d.Message), "  ")))
	}
	return lines
}

// fenceFor is a code fence that text does not hold.
func fenceFor(text string) string {
	longest, run := 0, 0
	for _, r := range text {
		if r != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return strings.Repeat("`", max(3, longest+1))
}

// plain is JSON as people read it: without escapes for HTML, and with words
// for the marks of what is not known or not shown.
func plain(raw json.RawMessage) string {
	text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `{"$unknown":true}`, "(known after apply)").Replace(string(raw))
	return fingerprints().ReplaceAllString(text, "(sensitive)")
}

// fingerprints stand for sensitive values inside a list.
var fingerprints = lazyregexp.New(`\{"\$fingerprint":"[^"]*"\}`)
