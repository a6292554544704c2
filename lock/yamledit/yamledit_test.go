package yamledit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/lock/yamledit"
)

const manifest = `# The plugins of the shop.
version: 1   # do not change

plugins:
  # The cloud.
  - name: cloud
    version: v0.7.6  # pinned for the bug
    source: github.com/acme/cloud

  # Local.
  - {name: hello, version: "v1.0.0", source: './plugins/hello'}
  - name:    folded
    version: >-
      v1.0.0
    source: x

registries:
- name: ghcr # same column as its key
  type: github
`

func edit(t *testing.T, src string, do func(*yamledit.Document) error) string {
	t.Helper()
	d, err := yamledit.Parse([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if err := do(d); err != nil {
		t.Fatal(err)
	}
	return string(d.Bytes())
}

func path(steps ...any) yamledit.Path { return steps }

var item = []yamledit.Field{{Key: "name", Value: "new"}, {Key: "version", Value: "v2.0.0"}, {Key: "auth", Value: []yamledit.Field{{Key: "env", Value: "TOKEN"}}}}

func TestEdits(t *testing.T) {
	appended := "  - name: new\n    version: v2.0.0\n    auth: {env: TOKEN}\n"
	tests := []struct {
		name, src string
		do        func(*yamledit.Document) error
		// old and new are the piece of src that becomes another.
		old, new string
	}{
		{"plain scalar", manifest, set("v0.8.0", "plugins", 0, "version"), "v0.7.6", "v0.8.0"},
		{"double quoted", manifest, set("v1.0.1", "plugins", 1, "version"), `"v1.0.0"`, "v1.0.1"},
		{"single quoted", manifest, set("a b: c", "plugins", 1, "source"), "'./plugins/hello'", `"a b: c"`},
		{"append", manifest, add("plugins"), "    source: x\n", "    source: x\n" + appended},
		{"append at the key's column", manifest, add("registries"), "  type: github\n", "  type: github\n" + strings.ReplaceAll(appended, "\n  ", "\n")[2:]},
		{"append to nothing", "# only a comment\n", add("plugins"), "# only a comment\n", "# only a comment\nplugins:\n" + appended},
		{"append to an empty file", "", add("plugins"), "", "plugins:\n" + appended},
		{"append a key", "version: 1 # one", add("plugins"), "version: 1 # one", "version: 1 # one\nplugins:\n" + appended},
		{"append to null", "plugins:  # none yet\nversion: 1\n", add("plugins"), "plugins:  # none yet\n", "plugins:  # none yet\n" + appended},
		{"append to []", "plugins: []  # none yet\nversion: 1\n", add("plugins"), "plugins: []  # none yet\n", "plugins:  # none yet\n" + appended},
		{"append to flow", "plugins: [{name: a}]\n", add("plugins"), "{name: a}", "{name: a}, {name: new, version: v2.0.0, auth: {env: TOKEN}}"},
		{"append before comments at the end", "plugins:\n  - name: a\n\n# the end\n", add("plugins"), "  - name: a\n", "  - name: a\n" + appended},
		{"carriage returns", "plugins:\r\n  - name: a\r\n", add("plugins"), "  - name: a\r\n", "  - name: a\r\n" + strings.ReplaceAll(appended, "\n", "\r\n")},
		{"byte order mark", "\xef\xbb\xbfplugins:\n  - name: a\n", set("b", "plugins", 0, "name"), "a\n", "b\n"},
		{"field to block", manifest, field("trust", "plugins", 0), "cloud\n\n", "cloud\n    trust: x\n\n"},
		{"field to flow", manifest, field("trust", "plugins", 1), "hello'}", "hello', trust: x}"},
		{"delete the first", manifest, del(false, "plugins", 0), "  - name: cloud\n    version: v0.7.6  # pinned for the bug\n    source: github.com/acme/cloud\n", ""},
		{"delete with its comment", manifest, del(false, "plugins", 1), "  # Local.\n  - {name: hello, version: \"v1.0.0\", source: './plugins/hello'}\n", ""},
		{"delete a block scalar", manifest, del(false, "plugins", 2, "version"), "    version: >-\n      v1.0.0\n", ""},
		{"delete and keep comments", manifest, del(true, "plugins", 0, "version"), "    version: v0.7.6  # pinned for the bug\n", "    # pinned for the bug\n"},
		{"delete behind the dash", "plugins:\n  - version: v1 # why\n    name: a\n", del(true, "plugins", 0, "version"), "  - version: v1 # why\n    name: a\n", "  # why\n  - name: a\n"},
		{"delete in flow", manifest, del(false, "plugins", 1, "version"), `version: "v1.0.0", `, ""},
		{"delete the last in flow", manifest, del(false, "plugins", 1, "source"), `, source: './plugins/hello'`, ""},
		{"delete in flow over lines", "a:\n  {\n    name: x,\n    version: v1, # pinned\n    source: s\n  }\n", del(true, "a", "version"), "version: v1, # pinned\n    source", "# pinned\n    source"},
		{"delete the only item", "plugins: # some\n  - name: a\nversion: 1\n", del(false, "plugins", 0), "plugins: # some\n  - name: a\n", "plugins: [] # some\n"},
		{"delete a key of the file", manifest, del(true, "registries"), "registries:\n- name: ghcr # same column as its key\n  type: github\n", "# same column as its key\n"},
		{"runes before the node", "ä: {ö: ü, b: c}\n", set("d", "ä", "b"), "c}", "d}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.src != "" && strings.Count(tt.src, tt.old) < 1 {
				t.Fatalf("%q is not in the source", tt.old)
			}
			want := tt.new
			if tt.src != "" {
				want = strings.Replace(tt.src, tt.old, tt.new, 1)
			}
			if got := edit(t, tt.src, tt.do); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func set(value string, steps ...any) func(*yamledit.Document) error {
	return func(d *yamledit.Document) error { return d.SetScalar(steps, value) }
}

func add(key string) func(*yamledit.Document) error {
	return func(d *yamledit.Document) error { return d.Append(key, item...) }
}

func field(key string, steps ...any) func(*yamledit.Document) error {
	return func(d *yamledit.Document) error {
		return d.AddField(steps, yamledit.Field{Key: key, Value: "x"})
	}
}

func del(keep bool, steps ...any) func(*yamledit.Document) error {
	return func(d *yamledit.Document) error { return d.Delete(steps, keep) }
}

// What cannot be spliced is refused, and nothing is changed.
func TestRefusals(t *testing.T) {
	tests := []struct {
		name, src string
		do        func(*yamledit.Document) error
	}{
		{"folded scalar", manifest, set("v2", "plugins", 2, "version")},
		{"anchored scalar", "a: &x one\nb: *x\n", set("two", "a")},
		{"plain scalar over lines", "a: one\n  two\nb: c\n", set("three", "a")},
		{"append to a scalar", "plugins: none\n", add("plugins")},
		{"append to a list", "- a\n", add("plugins")},
		{"a key's only entry behind a dash", "a:\n  - b: c\n", del(false, "a", 0, "b")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := yamledit.Parse([]byte(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			var refused *yamledit.RefusedError
			if err := tt.do(d); !errors.As(err, &refused) {
				t.Errorf("got %v, want a refusal; now\n%s", err, d.Bytes())
			}
			if string(d.Bytes()) != tt.src {
				t.Errorf("it was changed:\n%s", d.Bytes())
			}
		})
	}
}

func TestParseRefusesOtherThanOneDocument(t *testing.T) {
	for _, src := range []string{"a: 1\n---\nb: 2\n", "a: [", "a: \xff", "\x00"} {
		if _, err := yamledit.Parse([]byte(src)); err == nil {
			t.Errorf("%q was accepted", src)
		}
	}
}

func TestScalarReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "1", "1e5", "0x1", "true", "null", "~", "v1.0", "a:", "a #b", "2024-01-01", "1_000", ".inf", "=", "<<", "yes"})).Draw(t, "s")
		var got struct{ A []string }
		if err := yaml.Unmarshal([]byte("a: ["+yamledit.Scalar(want)+"]"), &got); err != nil {
			t.Fatalf("%q as %s: %v", want, yamledit.Scalar(want), err)
		}
		if len(got.A) != 1 || got.A[0] != want {
			t.Fatalf("%q came back as %q", want, got.A)
		}
	})
}

// Whatever the layout, an edit changes its own place and keeps every comment.
func TestEveryLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, n := draw(t)
		d, err := yamledit.Parse([]byte(src))
		if err != nil {
			t.Fatalf("%v in\n%s", err, src)
		}
		at := rapid.IntRange(0, n-1).Draw(t, "at")
		var before, after any
		mustYAML(t, src, &before)
		switch rapid.IntRange(0, 2).Draw(t, "edit") {
		case 0:
			err = d.SetScalar(path("plugins", at, "version"), "v9.9.9")
		case 1:
			err = d.Append("plugins", item...)
		case 2:
			err = d.Delete(path("plugins", at, "version"), true)
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, src)
		}
		got := string(d.Bytes())
		mustYAML(t, got, &after)
		if fmt.Sprint(before) == fmt.Sprint(after) {
			t.Fatalf("nothing changed in\n%s", src)
		}
		for i := range 100 {
			if c := fmt.Sprintf("# c%d.", i); strings.Count(src, c) != strings.Count(got, c) {
				t.Fatalf("comment %s is lost:\n%s\n->\n%s", c, src, got)
			}
		}
	})
}

func mustYAML(t *rapid.T, src string, v *any) {
	if err := yaml.Unmarshal([]byte(src), v); err != nil {
		t.Fatalf("%v in\n%s", err, src)
	}
}

// draw makes a manifest of n plugins with comments in all places.
func draw(t *rapid.T) (src string, n int) {
	var b strings.Builder
	count := 0
	comment := func(indent int, own bool) {
		if !rapid.Bool().Draw(t, "comment") {
			if !own {
				b.WriteString("\n")
			}
			return
		}
		if own {
			b.WriteString(strings.Repeat(" ", indent))
		}
		fmt.Fprintf(&b, "%s# c%d.\n", map[bool]string{true: "", false: " "}[own], count)
		count++
	}
	comment(0, true)
	b.WriteString("version: 1")
	comment(0, false)
	indent := rapid.SampledFrom([]int{0, 2, 4}).Draw(t, "indent")
	b.WriteString("plugins:")
	comment(0, false)
	n = rapid.IntRange(1, 4).Draw(t, "n")
	for i := range n {
		if rapid.Bool().Draw(t, "blank") {
			b.WriteString("\n")
		}
		comment(indent, true)
		pad := strings.Repeat(" ", indent)
		version := rapid.SampledFrom([]string{"v1.0.0", `"v1.0.0"`, `'v1.0.0'`}).Draw(t, "version")
		if rapid.Bool().Draw(t, "flow") {
			fmt.Fprintf(&b, "%s- {name: p%d, version: %s}", pad, i, version)
			comment(0, false)
			continue
		}
		keys := []string{fmt.Sprintf("name: p%d", i), "version: " + version, "auth: {env: X}"}
		for k, line := range rapid.Permutation(keys).Draw(t, "keys") {
			mark := "  "
			if k == 0 {
				mark = "- "
			}
			b.WriteString(pad + mark + line)
			comment(0, false)
			if k < 2 {
				comment(indent+2, true)
			}
		}
	}
	comment(0, true)
	if rapid.Bool().Draw(t, "more") {
		b.WriteString("registries: []\n")
	}
	return b.String(), n
}

func FuzzSplice(f *testing.F) {
	f.Add([]byte(manifest), "v1", 0)
	f.Add([]byte("plugins: [{name: a, version: v1}]"), "x: y", 3)
	f.Add([]byte("plugins:\n- version: |\n    a\n\n- 'x'\n"), "", 1)
	f.Fuzz(func(t *testing.T, src []byte, value string, which int) {
		d, err := yamledit.Parse(src)
		if err != nil {
			return
		}
		at := max(0, which) % 3
		edits := []func() error{
			func() error { return d.SetScalar(path("plugins", at, "version"), value) },
			func() error { return d.Append("plugins", yamledit.Field{Key: "name", Value: value}) },
			func() error { return d.Delete(path("plugins", at), which%2 == 0) },
			func() error { return d.Delete(path("plugins", at, "version"), which%2 == 0) },
			func() error { return d.AddField(path("plugins", at), yamledit.Field{Key: value, Value: value}) },
		}
		before := string(d.Bytes())
		if err := edits[max(0, which)%len(edits)](); err != nil && string(d.Bytes()) != before {
			t.Fatalf("%v, and still it was changed", err)
		}
		if _, err := yamledit.Parse(d.Bytes()); err != nil {
			t.Fatalf("the result is not YAML: %v", err)
		}
	})
}
