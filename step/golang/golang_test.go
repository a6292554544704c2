package golang_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/step/golang"
)

// TestMain lets the test binary be the worker that it starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "worker" {
		if err := golang.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const head = "package c\nimport (\"context\"; \"fmt\"; \"time\"; \"strings\")\nvar _ = fmt.Sprint\nvar _ = time.Now\nvar _ = strings.ToUpper\nvar _ context.Context\nvar kept [][]byte\nfunc Execute(ctx context.Context, in map[string]any) (map[string]any, error) {\n"

func workers(t *testing.T) *golang.Workers {
	w := &golang.Workers{Command: []string{os.Args[0], "worker"}}
	t.Cleanup(w.Close)
	return w
}

func call(t *testing.T, w *golang.Workers, body string, in map[string]any) (map[string]any, []string, error) {
	t.Helper()
	return callFor(t, w, time.Minute, body, in)
}

func callFor(t *testing.T, w *golang.Workers, limit time.Duration, body string, in map[string]any) (map[string]any, []string, error) {
	t.Helper()
	var lines []string
	out, err := w.Call(t.Context(), golang.Call{
		ID: "c.go", Text: head + body + "\n}", Input: in, Timeout: limit, Memory: 64 << 20, Log: func(l string) { lines = append(lines, l) },
	})
	return out, lines, err
}

func TestCall(t *testing.T) {
	w := workers(t)
	for range 2 { // the second on the worker that the first left
		out, lines, err := call(t, w, `fmt.Println("at work"); return map[string]any{"up": strings.ToUpper(in["name"].(string)), "n": 1}, nil`, map[string]any{"name": "ann"})
		if err != nil || out["up"] != "ANN" || out["n"] != 1.0 || strings.Join(lines, "|") != "at work" {
			t.Fatal(out, lines, err)
		}
	}
}

// A component that misbehaves is stopped with a clear error, and the next
// call works.
func TestMisbehaviour(t *testing.T) {
	const late = "ran longer than its limit of 2s"
	for name, c := range map[string]struct{ body, want string }{
		"loops for ever":          {`for { }; return nil, nil`, late},
		"sleeps for ever":         {`time.Sleep(time.Hour); return nil, nil`, late},
		"allocates without end":   {`for { kept = append(kept, make([]byte, 1<<20)) }; return nil, nil`, "more memory than its limit of 64 MiB"},
		"allocates all at once":   {`kept = append(kept, make([]byte, 1<<33)); return nil, nil`, "more memory than its limit of 64 MiB"},
		"panics":                  {`panic("oh no")`, "c.go panicked: oh no"},
		"panics at an index":      {`var a []int; return map[string]any{"x": a[3]}, nil`, "panicked"},
		"fails":                   {`return nil, fmt.Errorf("not today")`, "not today"},
		"returns what is no JSON": {`return map[string]any{"f": func() {}}, nil`, "no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := workers(t)
			limit := time.Minute
			if c.want == late {
				limit = 2 * time.Second
			}
			_, _, err := callFor(t, w, limit, c.body, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if out, _, err := call(t, w, `return map[string]any{"ok": true}, nil`, nil); err != nil || out["ok"] != true {
				t.Errorf("the next call: %v, %v", out, err)
			}
		})
	}
}

func TestEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := workers(t).Call(ctx, golang.Call{ID: "c.go", Text: head + "for { }; return nil, nil }", Timeout: time.Minute, Memory: 64 << 20})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A worker whose host was killed ends in the middle of a component.
func TestEndsWithItsHost(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "worker") //nolint:gosec // this test itself
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ask := map[string]any{"id": "c.go", "text": head + `fmt.Println("at work"); for { }; return nil, nil }`, "memory": 64 << 20}
	if err := json.NewEncoder(in).Encode(ask); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); !strings.Contains(line, "at work") {
		t.Fatal(line, err)
	}
	_ = in.Close()
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ran on: %v", err)
	}
}

func TestImportsAreCheckedBeforeAnythingRuns(t *testing.T) {
	for _, path := range []string{"os/exec", "os", "net/http", "unsafe", "syscall", "C", "github.com/x/y", "plugin", "io/ioutil", "reflect", "runtime"} {
		_, err := golang.Check("c.go", "package c\nimport _ \""+path+"\"\nfunc init() { panic(1) }")
		if fault.CodeOf(err) != fault.Config || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := golang.Check("c.go", "packag"); err == nil {
		t.Error("it is no Go")
	}
	s, err := golang.Check("c.go", "package c\nfunc Execute() {}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := golang.Load(s, io.Discard); err == nil || !strings.Contains(err.Error(), "has the type") {
		t.Errorf("another Execute: %v", err)
	}
}

// A changed text takes effect with the next call, and no component sees
// another's variables.
func TestHotReloadAndIsolation(t *testing.T) {
	r := golang.NewRegistry(io.Discard, 1)
	text := func(v string) string {
		return "package c\nimport \"context\"\nvar n = 0\nfunc Execute(ctx context.Context, in map[string]any) (map[string]any, error) { n++; return map[string]any{\"v\": \"" + v + "\", \"n\": n}, nil }"
	}
	use := func(id, v string) map[string]any {
		p, err := r.LoadString(id, text(v))
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.Execute(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	use("a", "one")
	if out := use("a", "one"); out["n"] != 2 {
		t.Errorf("the same text is kept: %v", out)
	}
	if out := use("b", "one"); out["n"] != 1 {
		t.Errorf("another component sees its variables: %v", out)
	}
	if out := use("a", "two"); out["v"] != "two" || out["n"] != 1 {
		t.Errorf("the changed text: %v", out)
	}
}

// Every package that is allowed can be imported.
func TestAllowedPackages(t *testing.T) {
	s, err := golang.Check("c.go", "package c\nimport (\"context\"; \"encoding/json\"; \"regexp\"; \"sort\"; \"strconv\"; \"math/big\"; \"crypto/sha256\"; \"net/url\"; \"text/template\"; \"bytes\")\n"+
		`func Execute(ctx context.Context, in map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(map[string]any{"a": []int{1, 2}})
	s := []string{"b", "a"}
	sort.Strings(s)
	var b bytes.Buffer
	if err := template.Must(template.New("").Parse("{{.}}")).Execute(&b, "x"); err != nil { return nil, err }
	u, _ := url.Parse("https://example.com/p")
	return map[string]any{"json": string(raw), "sorted": s[0], "re": regexp.MustCompile("a+").FindString("baa"), "n": strconv.Itoa(4),
		"big": big.NewInt(5).String(), "sum": sha256.Sum256(nil)[0], "tmpl": b.String(), "host": u.Host}, err
}`)
	if err != nil {
		t.Fatal(err)
	}
	c, err := golang.Load(s, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Execute(t.Context(), nil)
	if err != nil || out["json"] != `{"a":[1,2]}` || out["re"] != "aa" || out["tmpl"] != "x" || out["host"] != "example.com" {
		t.Error(out, err)
	}
}
