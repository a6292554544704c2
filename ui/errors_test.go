package ui_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/ui"
)

// golden compares text with a file of testdata; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func misspelt() *fault.Error {
	f := fault.New(fault.Config, "unknown key %q", "conifg").
		At(fault.Position{File: "app.yaml", Line: 12, Column: 5}).WithHint("did you mean config?")
	f.Source, f.Width = "    conifg: {size: s}", 6
	return f
}

func TestErrors(t *testing.T) {
	edge := fault.New(fault.Config, "a value is missing").At(fault.Position{File: "app.yaml", Line: 3, Column: 6})
	edge.Source = "name:"
	wide := fault.New(fault.Config, "not a name").At(fault.Position{File: "app.yaml", Line: 1, Column: 3})
	wide.Source, wide.Width = "a b\r", 400
	outside := fault.New(fault.Config, "moved").At(fault.Position{File: "app.yaml", Line: 1, Column: 40})
	outside.Source = "short"
	long := fault.New(fault.Config, "bad").At(fault.Position{File: "app.yaml", Line: 1, Column: 301})
	long.Source, long.Width = strings.Repeat("x", 300)+"BAD"+strings.Repeat("y", 300), 3
	cases := map[string]error{
		"one":     misspelt(),
		"several": fault.List{misspelt(), edge, fault.New(fault.NotFound, "no place")},
		"edges":   fault.List{wide, outside, long},
		"detail": fault.New(fault.Provider, "the service ended at once").WithDetail("exit status 3", "panic: \x1b[2Jgone").
			WithHint("look at its log"),
		"cause":   fault.Wrap(fault.Provider, &sdk.Error{Code: sdk.CodeUnauthorised, Message: "token rejected", Hint: "set TOKEN"}, "read the account"),
		"wrapped": fmt.Errorf("while planning: %w", misspelt()),
		"joined":  errors.Join(misspelt(), fmt.Errorf("all of: %w", fault.List{edge, wide}), errors.New("plain")),
		"hostile": fault.New(fault.Provider, "answered \x1b]0;title\x07\nsecond \u202eline").WithHint("first\nsecond"),
	}
	for name, err := range cases {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			ui.Error(&b, err, ui.Style{})
			golden(t, "error_"+name+".txt", b.String())
			var doc strings.Builder
			ui.ErrorJSON(&doc, err)
			golden(t, "error_"+name+".json", doc.String())
		})
	}
}

func TestErrorColours(t *testing.T) {
	var b strings.Builder
	ui.Error(&b, misspelt(), ui.Style{Color: true})
	if !strings.Contains(b.String(), "\x1b[31m^^^^^^\x1b[0m") {
		t.Errorf("no coloured caret in %q", b.String())
	}
}

func TestErrorJSONIsOneObject(t *testing.T) {
	var b strings.Builder
	ui.ErrorJSON(&b, errors.New("boom"))
	var doc struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(b.String()), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Errors) != 1 || doc.Errors[0].Code != "internal" || doc.Errors[0].Message != "boom" {
		t.Errorf("got %+v", doc)
	}
}

// FuzzError proves that no fault's text reaches the terminal as a control
// sequence, and that no place makes it panic.
func FuzzError(f *testing.F) {
	f.Add("message", "source", "hint", 1, 3, 2)
	f.Add("\x1b[2J", "\tx\u0085", "\u202e", -1, 900, -7)
	f.Fuzz(func(t *testing.T, message, source, hint string, line, column, width int) {
		e := fault.New(fault.Config, "%s", message).At(fault.Position{File: "f", Line: line, Column: column}).WithHint("%s", hint)
		e.Source, e.Width = source, width
		var b strings.Builder
		ui.Error(&b, e, ui.Style{})
		for _, r := range b.String() {
			if r != '\n' && r != utf8.RuneError && (r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x202e) {
				t.Fatalf("%q holds %U", b.String(), r)
			}
		}
	})
}

// A line that is shown does not show a password that stands in it.
func TestSourceLinesWithoutSecrets(t *testing.T) {
	for line, want := range map[string]string{
		`  auth: {username: bob, password: secretpw}`:    `  auth: {username: bob, password: ********}`,
		`token: "dop_v1_abc"`:                            `token: ************`,
		`api_key: 'x y', name: a`:                        `api_key: *****, name: a`,
		`{password_env: PW, token: "${TOKEN}"}`:          `{password_env: PW, token: "${TOKEN}"}`,
		`env_vars_secret: {A: b}`:                        `env_vars_secret: {A: b}`,
		`sinks: [{type: github_secret, name: DB_TOKEN}]`: `sinks: [{type: github_secret, name: DB_TOKEN}]`,
	} {
		f := fault.New(fault.Config, "unknown key").At(fault.Position{File: "wfctl.yaml", Line: 3, Column: 1})
		f.Source = line
		var out strings.Builder
		ui.Error(&out, f, ui.Style{})
		if !strings.Contains(out.String(), "    3 | "+want+"\n") {
			t.Errorf("%s\nbecame %s\nwant   %s", line, out.String(), want)
		}
	}
}
