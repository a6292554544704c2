package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/cli"
)

// mistakes are lines that are wrong, and what the report says of each.
var mistakes = []struct{ line, want string }{
	{`{name: e1, type: core.data, config: {values: {x: 1}}, depend_on: []}`, `unknown key "depend_on"`},
	{`{name: e2, type: core.dta, config: {values: {x: 1}}}`, `core.dta`},
	{`{name: e3, type: core.data, config: {value: {x: 1}}}`, `"value"`},
	{`{name: e4, type: core.data, config: {values: 7}}`, `values`},
	{`{name: m0001, type: core.data, config: {values: {x: 1}}}`, `declared twice`},
	{`{name: e6, type: core.data, config: {values: {x: "${{ modules.nobody.outputs.x }}"}}}`, `"nobody"`},
	{`{name: e7, type: core.data, config: {values: {x: "${NOT_SET_ANYWHERE}"}}}`, `NOT_SET_ANYWHERE`},
	{`{name: e8, type: core.data, config: {values: {x: "${{ 1 + }}"}}}`, `app.yaml:`},
	{`{name: e9, type: core.data, config: {values: {x: 1}}, depends_on: [nobody]}`, `"nobody"`},
	{`{name: e10, type: core.command, config: {create: "not a list"}}`, `create`},
	{`{name: e11, type: infra.database, config: {provider: nowhere, engine: sqlite}}`, `nowhere`},
	{`{name: e12, type: infra.database, config: {provider: machine, engine: oracle}}`, `oracle`},
}

// A file of 1,000 modules with 12 different mistakes reports all 12 with
// their places in one run.
func TestAllMistakesOfALargeFileInOneRun(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nproject: many\nmodules:\n  - {name: machine, type: iac.provider, config: {provider: local}}\n")
	line, places := 4, map[int]string{}
	for i := range 1000 {
		if at := i / 80; i%80 == 79 && at < len(mistakes) {
			line++
			fmt.Fprintf(&b, "  - %s\n", mistakes[at].line)
			places[line] = mistakes[at].want
		}
		line++
		fmt.Fprintf(&b, "  - {name: m%04d, type: core.data, config: {values: {x: %d}}}\n", i, i)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.yaml"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	app := &cli.App{Kinds: builtin.Kinds(), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) (string, bool) { return "", false }}
	if status := app.Run(context.Background(), []string{"-C", dir, "validate"}); status != 1 {
		t.Fatalf("exit status %d\n%s", status, out.String())
	}
	if len(places) != 12 {
		t.Fatalf("%d mistakes were made", len(places))
	}
	for line, want := range places {
		if !reported(out.String(), line, want) {
			t.Errorf("line %d (%s) is not reported", line, want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// reported tells whether one fault names both the line and the text.
func reported(report string, line int, want string) bool {
	for _, f := range strings.Split(report, "\n\n") {
		if strings.Contains(f, fmt.Sprintf("app.yaml:%d:", line)) && strings.Contains(f, want) {
			return true
		}
	}
	return false
}
