package ui_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/ui"
)

func quoted(s string) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return raw
}

// TestOutputs holds a case per row of the table of outputs.
func TestOutputs(t *testing.T) {
	host := ui.Output{Module: "db", Field: "host", Value: quoted("h & <co>")}
	port := ui.Output{Module: "db", Field: "port", Value: json.RawMessage("5432")}
	hidden := ui.Output{Module: "db", Field: "url", Sensitive: true}
	secret := ui.Output{Module: "db", Field: "url", Sensitive: true, Value: quoted("s3cr%t")}
	lines := ui.Output{Module: "ca", Field: "key", Sensitive: true, Value: quoted("BEGIN\r\nit's \"x\"\n\nEND\n")}
	object := ui.Output{Module: "a", Field: "o", Sensitive: true, Value: json.RawMessage(`{"n":[1,"deep"],"password":"p\"w","user":"u"}`)}
	const masked = "***MASKED*** (sensitive — use --show-sensitive to reveal)\n"
	warn := func(name string) string {
		return "WARNING: printing sensitive value '" + name + "' to stdout — ensure terminal is not recorded\n"
	}
	cases := map[string]struct {
		outputs     []ui.Output
		options     ui.OutputOptions
		out, stderr string
	}{
		"plain":              {[]ui.Output{host, port}, ui.OutputOptions{Format: "value"}, "db.host: h & <co>\ndb.port: 5432\n", ""},
		"masked":             {[]ui.Output{hidden}, ui.OutputOptions{Format: "value"}, "db.url: " + masked, ""},
		"masked with value":  {[]ui.Output{secret}, ui.OutputOptions{Format: "value"}, "db.url: " + masked, ""},
		"masked bare":        {[]ui.Output{secret}, ui.OutputOptions{Format: "value", Bare: true}, masked, ""},
		"masked in actions":  {[]ui.Output{secret}, ui.OutputOptions{Format: "value", GitHubActions: true}, "db.url: " + masked, ""},
		"masked JSON":        {[]ui.Output{host, port, secret}, ui.OutputOptions{Format: "json"}, "{\n  \"db\": {\n    \"host\": \"h & <co>\",\n    \"port\": 5432,\n    \"url\": \"***MASKED***\"\n  }\n}\n", ""},
		"masked env":         {[]ui.Output{host, secret}, ui.OutputOptions{Format: "env"}, "DB_HOST='h & <co>'\n", "# DB_URL is sensitive and left out; --show-sensitive prints it\n"},
		"bare":               {[]ui.Output{port}, ui.OutputOptions{Format: "value", Bare: true}, "5432\n", ""},
		"shown":              {[]ui.Output{host, secret}, ui.OutputOptions{Format: "value", ShowSensitive: true}, "db.host: h & <co>\ndb.url: s3cr%t\n", warn("url")},
		"shown JSON":         {[]ui.Output{secret}, ui.OutputOptions{Format: "json", ShowSensitive: true}, "{\n  \"db\": {\n    \"url\": \"s3cr%t\"\n  }\n}\n", warn("url")},
		"shown env":          {[]ui.Output{lines}, ui.OutputOptions{Format: "env", ShowSensitive: true}, "CA_KEY='BEGIN\r\nit'\\''s \"x\"\n\nEND\n'\n", warn("key")},
		"shown in actions":   {[]ui.Output{secret}, ui.OutputOptions{Format: "value", Bare: true, ShowSensitive: true, GitHubActions: true}, "::add-mask::s3cr%25t\ns3cr%t\n", warn("url")},
		"not secret actions": {[]ui.Output{host}, ui.OutputOptions{Format: "value", ShowSensitive: true, GitHubActions: true}, "db.host: h & <co>\n", ""},
		"lines in actions": {
			[]ui.Output{lines},
			ui.OutputOptions{Format: "value", Bare: true, ShowSensitive: true, GitHubActions: true},
			"::add-mask::BEGIN\n::add-mask::it's \"x\"\n::add-mask::END\n" +
				"::add-mask::it'\\''s \"x\"\n" + `::add-mask::BEGIN\r\nit's \"x\"\n\nEND\n` + "\n" +
				`::add-mask::BEGIN\r\nit'\''s \"x\"\n\nEND\n` + "\n" +
				"BEGIN\r\nit's \"x\"\n\nEND\n\n",
			warn("key"),
		},
		"object in actions": {
			[]ui.Output{object},
			ui.OutputOptions{Format: "value", Bare: true, ShowSensitive: true, GitHubActions: true},
			"::add-mask::" + string(object.Value) + "\n::add-mask::deep\n::add-mask::p\"w\n" + `::add-mask::p\"w` + "\n" + string(object.Value) + "\n",
			warn("o"),
		},
		"nothing": {nil, ui.OutputOptions{Format: "json"}, "{}\n", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out, stderr strings.Builder
			if err := ui.Outputs(&out, &stderr, c.outputs, c.options); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.out {
				t.Errorf("stdout %q, want %q", out.String(), c.out)
			}
			if stderr.String() != c.stderr {
				t.Errorf("stderr %q, want %q", stderr.String(), c.stderr)
			}
		})
	}
}

// TestMasksComeFirst: whatever the value and the format, no line is printed
// that a runner which replaces masked substrings would let through.
func TestMasksComeFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := "k" + rapid.StringMatching(`[ -~\r\n]{0,30}`).Draw(t, "secret") + "k"
		format := rapid.SampledFrom([]string{"value", "env", "json"}).Draw(t, "format")
		value := quoted(secret)
		if rapid.Bool().Draw(t, "nested") {
			value = json.RawMessage(`{"in":[` + string(value) + `]}`)
		}
		var out strings.Builder
		err := ui.Outputs(&out, &strings.Builder{}, []ui.Output{{Module: "m", Field: "f", Value: value, Sensitive: true}},
			ui.OutputOptions{Format: format, ShowSensitive: true, GitHubActions: true})
		if err != nil {
			t.Fatal(err)
		}
		masks, rest := runnerMasks(out.String())
		for _, m := range masks {
			rest = strings.ReplaceAll(rest, m, "***")
		}
		for line := range strings.FieldsFuncSeq(secret, func(r rune) bool { return r == '\n' || r == '\r' }) {
			tells := strings.ContainsFunc(line, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
			if len(line) > 3 && tells && strings.Contains(rest, line) { // a line of spaces or dashes says nothing, and masking it would wreck the log
				t.Fatalf("%q is left in %q", line, rest)
			}
		}
	})
}

// runnerMasks reads the masks as GitHub's runner does, longest first.
func runnerMasks(out string) (masks []string, rest string) {
	var kept []string
	for line := range strings.SplitSeq(out, "\n") {
		if m, ok := strings.CutPrefix(line, "::add-mask::"); ok {
			masks = append(masks, strings.NewReplacer("%0D", "\r", "%0A", "\n", "%25", "%").Replace(m))
			continue
		}
		kept = append(kept, line)
	}
	slices.SortFunc(masks, func(a, b string) int { return len(b) - len(a) })
	return masks, strings.Join(kept, "\n")
}

// TestEnvReadsBackInAShell lets a real shell read what was quoted for it.
func TestEnvReadsBackInAShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal("this test needs a POSIX shell on PATH")
	}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.StringOf(rapid.RuneFrom([]rune("ab'\"\\$`!~*?; \t\n\r&|<>(){}#%=é✓\x01"))), 1, 20).Draw(t, "values")
		var outputs []ui.Output
		for i, v := range values {
			outputs = append(outputs, ui.Output{Module: "m-" + strings.Repeat("x", i), Field: "f", Value: quoted(v)})
		}
		var script, want strings.Builder
		if err := ui.Outputs(&script, &strings.Builder{}, outputs, ui.OutputOptions{Format: "env"}); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			script.WriteString(`printf '%s\001|' "$M_` + strings.Repeat("X", i) + `_F"` + "\n")
			want.WriteString(v + "\001|")
		}
		cmd := exec.Command(sh)
		cmd.Stdin = strings.NewReader(script.String())
		got, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want.String() {
			t.Fatalf("got %q, want %q", got, want.String())
		}
	})
}
