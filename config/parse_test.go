package config

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func parseOne(t testing.TB, text string) *Node {
	t.Helper()
	n, faults := parse("app.yaml", []byte(text))
	if len(faults) > 0 {
		t.Fatalf("%s", render(faults))
	}
	return n
}

// What YAML's scalars are, as JSON.
func TestScalars(t *testing.T) {
	for in, want := range map[string]string{
		"a":                              `"a"`,
		"yes":                            `"yes"`,
		"on":                             `"on"`,
		"True":                           `true`,
		"false":                          `false`,
		"~":                              `null`,
		"":                               `null`,
		"null":                           `null`,
		"'null'":                         `"null"`,
		"12":                             `12`,
		"-7":                             `-7`,
		"+7":                             `7`,
		"0":                              `0`,
		"007":                            `7`,
		"0o17":                           `15`,
		"0x1F":                           `31`,
		"1_000":                          `1000`,
		"1.50":                           `1.5`,
		"1e3":                            `1000`,
		".5":                             `0.5`,
		"12345678901234567890":           `12345678901234567890`,
		"123456789012345678901234567890": `123456789012345678901234567890`,
		"!!str 12":                       `"12"`,
		"2026-04-24":                     `"2026-04-24"`,
		"1.2.3":                          `"1.2.3"`,
		`"a\tb\u00e9\"<"`:                `"a\tbé\"<"`,
		"'it''s'":                        `"it's"`,
		"|\n  a\n  b\n":                  `"a\nb\n"`,
		">-\n  a\n  b\n":                 `"a b"`,
		"[1, {a: b}]":                    `[1,{"a":"b"}]`,
		"{1: a, true: b}":                `{"1":"a","true":"b"}`,
		"{a: &x [1], b: *x}":             `{"a":[1],"b":[1]}`,
		"{a: &x {p: 1, q: 2}, b: {<<: *x, q: 3}}":                  `{"a":{"p":1,"q":2},"b":{"q":3,"p":1}}`,
		"{a: &x {p: 1}, b: &y {q: 2}, c: {<<: [*x, *y]}}":          `{"a":{"p":1},"b":{"q":2},"c":{"p":1,"q":2}}`,
		"{a: &x {p: 1}, b: &y {<<: *x, q: 2}, c: {<<: *y, r: *x}}": `{"a":{"p":1},"b":{"q":2,"p":1},"c":{"r":{"p":1},"q":2,"p":1}}`,
		"{a: '<<'}": `{"a":"<<"}`,
	} {
		if got := string(parseOne(t, in).AppendJSON(nil)); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}

// Ten aliases of ten aliases, ten times, would be ten thousand million values.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 10 {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	n, faults := parse("app.yaml", []byte(b.String()))
	if len(faults) != 1 || !strings.Contains(faults[0].Message, "more than 1000000 values") {
		t.Fatalf("faults %v", faults)
	}
	if raw := n.AppendJSON(nil); len(raw) > 100*maxAliased {
		t.Errorf("it is %d bytes of JSON", len(raw))
	}
}

// Many aliases of something small are what aliases are for.
func TestManyAliases(t *testing.T) {
	var b strings.Builder
	b.WriteString("base: &base {a: 1, b: [1, 2, 3]}\nlist:\n")
	b.WriteString(strings.Repeat("  - *base\n", 20_000))
	if n := parseOne(t, b.String()); len(n.Get("list").Items) != 20_000 {
		t.Error("some are missing")
	}
}

// A part of a string is found again in every style.
func TestFaultInFindsTheSource(t *testing.T) {
	for name, in := range map[string]string{
		"plain":   "a: x ${{ b }} y\n",
		"double":  "a: \"x ${{ b }} y\"\n",
		"single":  "a: 'it''s ${{ b }} y'\n",
		"literal": "a: |\n  first\n  x ${{ b }} y\n",
		"folded":  "a: >\n  first ${{ c }}\n\n  x ${{ b }} y\n",
		"escaped": "a: \"\\t\\u00e9 ${{ b }}\"\n",
		"unicode": "a: grüße ${{ b }}\n",
		"flow":    "a: [z, {k: \"${{ b }}\"}]\n",
	} {
		n := parseOne(t, in).Get("a")
		for n.Kind != String {
			if n.Kind == List {
				n = n.Items[len(n.Items)-1]
			} else {
				n = n.Fields[0].Value
			}
		}
		e := n.FaultIn(strings.Index(n.Text, "${{ b"), len("${{ b }}"), "here")
		line := []rune(strings.Split(in, "\n")[e.Pos.Line-1])
		got := string(line[e.Pos.Column-1:])
		if !strings.HasPrefix(got, "${{ b }}") || e.Width != len("${{ b }}") {
			t.Errorf("%s: line %d column %d is %q, width %d", name, e.Pos.Line, e.Pos.Column, got, e.Width)
		}
	}
}

// The second of two equal parts is not the first.
func TestFaultInCountsOccurrences(t *testing.T) {
	n := parseOne(t, "a: \"vars.x vars.x\"\n").Get("a")
	if e := n.FaultIn(7, 6, "second"); e.Pos.Column != 12 {
		t.Errorf("column %d", e.Pos.Column)
	}
}

// Wherever a line is broken, the error names that line.
func TestSyntaxErrorsNameTheLine(t *testing.T) {
	good := strings.Split(strings.TrimSuffix(string(large(60)), "\n"), "\n")
	good = append(good, "images:", "  app: {", "    builder: go,", "    package: ./cmd/app", "  }", "gates: {}")
	rapid.Check(t, func(t *rapid.T) {
		lines := append([]string(nil), good...)
		at := rapid.IntRange(4, len(lines)-8).Draw(t, "line")
		bad := rapid.SampledFrom([]string{"\tx: 1", "]", " wrong: : :", "  x: 'a' b", "@a: 1", "}: 1"}).Draw(t, "bad")
		lines = append(lines[:at], append([]string{bad}, lines[at:]...)...)
		_, faults := parse("app.yaml", []byte(strings.Join(lines, "\n")))
		if len(faults) != 1 {
			t.Fatalf("%d faults", len(faults))
		}
		if d := faults[0].Pos.Line - (at + 1); d < -1 || d > 1 {
			t.Fatalf("line %d is broken (%q), line %d is named: %s", at+1, bad, faults[0].Pos.Line, faults[0])
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: 1", "&a [*a]", "<<: *a", "{a: {b: [c]}}", "? [a]\n: b", "--- |\n a", "a: !!binary x", "\ufeffa: b", "%YAML 1.1\n---\na", "a: &x\nb: *x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, faults := parse("app.yaml", data)
		if n == nil && len(faults) == 0 {
			t.Fatal("neither a value nor an error")
		}
		for _, e := range faults {
			if e.Pos.Line < 1 || e.Pos.Column < 1 || e.Message == "" {
				t.Fatalf("no place: %#v", e)
			}
		}
		if n != nil && !bytes.Contains(data, []byte("*")) {
			n.AppendJSON(nil)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(large(2)))
	f.Add([]byte("project: p\nmodules: [{name: a, type: b.c, environments: {x: {config: null}}}]\nimages: {a: {environments: {y: null}}}"))
	f.Add([]byte("project: p\npipelines: {a: [{type: x, y: z}], b: {steps: [{type: x, needs: x}]}}\nsecrets: {generate: [{key: a, type: uuid}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		read := func(string) ([]byte, error) { return data, nil }
		file, err := Load(t.Context(), "app.yaml", read)
		if file == nil && err == nil {
			t.Fatal("neither a file nor an error")
		}
		_, _ = LoadManifest(t.Context(), "wfctl.yaml", read)
	})
}
