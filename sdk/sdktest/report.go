package sdktest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report is what a run of the suite found.
type Report struct {
	Suite   string   `json:"suite"`
	Way     string   `json:"way"`
	Matrix  Matrix   `json:"matrix"`
	Results []Result `json:"results"`
}

// The kinds of request that each method is tried with.
const (
	nilRequest = "nil"
	empty      = "empty"
	partial    = "partial"
	populated  = "populated"
)

func columns() []string { return []string{nilRequest, empty, partial, populated} }

// Matrix has, for each method and kind of request, what the provider did: "ok"
// or the code of its error, with "FAIL" where that is not what the contract
// says. Several types are joined.
type Matrix map[string]map[string]string

// note adds an outcome to a cell. A wrong one stays.
func (m Matrix) note(method, request string, wrong error, outcome string) {
	if m[method] == nil {
		m[method] = map[string]string{}
	}
	have := strings.Fields(strings.ReplaceAll(m[method][request], "/", " "))
	if wrong != nil {
		outcome = string(Fail)
	}
	if !slices.Contains(have, outcome) {
		have = append(have, outcome)
	}
	slices.Sort(have)
	m[method][request] = strings.Join(have, "/")
}

// Failed lists the checks that failed.
func (r *Report) Failed() []Result {
	return slices.DeleteFunc(slices.Clone(r.Results), func(res Result) bool { return res.Outcome != Fail })
}

// methods in the order of the contract.
func methods() []string {
	return []string{
		"Schema", "Configure", "Validate", "Diff", "Create", "Read", "Update", "Delete",
		"List", "Import", "Health", "Sizes", "EnsureRegistry", "RegistryCredential", "WriteSecret", "BootstrapState", "Logs", "Diagnose",
	}
}

// Write prints the report: the matrix, then the checks, then what failed.
func (r *Report) Write(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "conformance of %s, %s\n\n", r.Suite, r.Way); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "method\t"+strings.Join(columns(), "\t"))
	for _, m := range methods() {
		cells := r.Matrix[m]
		if cells == nil {
			continue
		}
		row := m
		for _, c := range columns() {
			cell := cells[c]
			if cell == "" {
				cell = "-"
			}
			row += "\t" + cell
		}
		_, _ = fmt.Fprintln(table, row)
	}
	_, _ = fmt.Fprintln(table)
	r.writeChecks(table)
	return table.Flush()
}

// writeChecks prints a row for each check, then the failures whole.
func (r *Report) writeChecks(w io.Writer) {
	_, _ = fmt.Fprintln(w, "check\tok\tskip\tfail")
	var order []string
	counts := map[string]map[Outcome]int{}
	for _, res := range r.Results {
		if counts[res.Check] == nil {
			counts[res.Check] = map[Outcome]int{}
			order = append(order, res.Check)
		}
		counts[res.Check][res.Outcome]++
	}
	for _, name := range order {
		c := counts[name]
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", name, c[Pass], c[Skip], c[Fail])
	}
	for _, res := range r.Results {
		if res.Outcome != Pass {
			_, _ = fmt.Fprintf(w, "\n%s: %s", res.Outcome, strings.TrimSpace(res.Check+" "+res.Type))
			_, _ = fmt.Fprintf(w, "\n  %s", strings.ReplaceAll(res.Detail, "\n", "\n  "))
		}
	}
	_, _ = fmt.Fprintln(w)
}
