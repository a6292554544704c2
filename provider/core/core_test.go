package core

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/internal/procgroup"
	"github.com/gocodealone/wfctl/sdk"
)

func TestMain(m *testing.M) {
	if os.Getenv("CORE_TEST_CHILD") != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// recorder is a host that listens.
type recorder struct {
	mu       sync.Mutex
	log      []string
	warnings []string
	assigned []string
	onLog    func(string)
}

func (r *recorder) Assigned(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.assigned = append(r.assigned, id)
	return nil
}
func (r *recorder) Progress(string, float64) {}
func (r *recorder) Log(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, line)
	if r.onLog != nil {
		r.onLog(line)
	}
}

func (r *recorder) Warn(d sdk.Diagnostic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, d.Message)
}

func config(v any, sensitive ...sdk.Path) sdk.Config {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return sdk.Config{JSON: raw, Sensitive: sensitive}
}

type object = map[string]any

func configured(t *testing.T) (sdk.Provider, string) {
	t.Helper()
	dir := t.TempDir()
	p := New()
	p.(*provider).command.grace, p.(*provider).command.linger = 200*time.Millisecond, 100*time.Millisecond
	if _, err := p.Configure(t.Context(), &sdk.ConfigureRequest{BaseDir: dir}); err != nil {
		t.Fatal(err)
	}
	return p, dir
}

// sh is a command for a shell, where the test needs one.
func sh(script string) []string { return []string{"sh", "-c", script} }

func needsShell(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the commands of this test are written for a Unix shell")
	}
}

func TestDataReportsItsValues(t *testing.T) {
	p, _ := configured(t)
	c := config(object{"values": object{"n": 1.5, "big": json.Number("12345678901234567890"), "list": []any{1, "a"}, "key": "s3cret", "inner": object{"a": "b", "k": "s"}, "late": nil, "hidden": nil}},
		"/values/key", "/values/inner/k")
	c.Unknown, c.Opaque = []sdk.Path{"/values/late"}, []sdk.Path{"/values/hidden"}
	diff, err := p.Diff(t.Context(), &sdk.DiffRequest{Type: TypeData, Name: "d", Config: c})
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeData, Name: "d", Config: c}, &recorder{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"n": "1.5", "big": "12345678901234567890", "list": `[1,"a"]`, "key": sdk.Mask, "inner": sdk.Mask}
	for name, text := range want {
		if got := res.Outputs[name].String(); got != text {
			t.Errorf("%s is %s", name, got)
		}
		if !diff.Outputs[name].Equal(res.Outputs[name]) {
			t.Errorf("%s is not promised", name)
		}
	}
	if len(res.Outputs) != len(want) || string(res.Outputs["key"].Reveal()) != `"s3cret"` {
		t.Errorf("outputs %v", res.Outputs)
	}
	read, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeData, Name: "d", Config: c, Prior: &sdk.Prior{ID: "d", Outputs: sdk.Outputs{"n": sdk.Out(2), "hidden": sdk.SecretOut("x"), "late": sdk.Out(1)}}})
	if err != nil || string(read.Outputs["n"].Reveal()) != "1.5" || string(read.Outputs["late"].Reveal()) != "1" || len(read.Outputs) != len(want)+1 {
		t.Errorf("%v, %v", read, err)
	}
	if _, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeData, Name: "d"}); !sdk.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

// Every value comes out as it went in, and is sensitive exactly where a path
// touches it.
func TestDataProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.MapOf(rapid.String(), rapid.Custom(func(t *rapid.T) any {
			return rapid.OneOf(rapid.String().AsAny(), rapid.Int().AsAny(), rapid.Bool().AsAny()).Draw(t, "value")
		})).Draw(t, "values")
		c := config(object{"values": values})
		secret := map[string]bool{}
		for name := range values {
			if rapid.Bool().Draw(t, "secret") {
				secret[name] = true
				c.Sensitive = append(c.Sensitive, sdk.Path("/values").Child(name))
			}
		}
		outputs, err := dataOutputs(c)
		if err != nil || len(outputs) != len(values) {
			t.Fatalf("%d of %d, %v", len(outputs), len(values), err)
		}
		for name, value := range values {
			if !outputs[name].WithSensitive(false).Equal(sdk.Out(value)) || outputs[name].Sensitive() != secret[name] {
				t.Fatalf("%q: %s", name, outputs[name])
			}
		}
	})
}

func TestNilAndEmptyRequests(t *testing.T) {
	p, _ := configured(t)
	ctx, r := t.Context(), &recorder{}
	for _, typ := range []string{"", "core.other", TypeData, TypeCommand} {
		_, _ = p.Validate(ctx, &sdk.ValidateRequest{Type: typ})
		_, _ = p.Diff(ctx, &sdk.DiffRequest{Type: typ})
		_, _ = p.Create(ctx, &sdk.CreateRequest{Type: typ}, r)
		_, _ = p.Read(ctx, &sdk.ReadRequest{Type: typ})
		_, _ = p.Update(ctx, &sdk.UpdateRequest{Type: typ}, r)
		_, _ = p.Delete(ctx, &sdk.DeleteRequest{Type: typ}, r)
	}
	errs := make([]error, 7)
	_, errs[0] = p.Configure(ctx, nil)
	_, errs[1] = p.Validate(ctx, nil)
	_, errs[2] = p.Diff(ctx, nil)
	_, errs[3] = p.Create(ctx, nil, r)
	_, errs[4] = p.Read(ctx, nil)
	_, errs[5] = p.Update(ctx, nil, r)
	_, errs[6] = p.Delete(ctx, nil, r)
	for i, err := range errs {
		if sdk.CodeOf(err) != sdk.CodeInvalid {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// thing is a file that commands make: the smallest platform there is.
func thing(extra object) object {
	c := object{
		"create": sh(`echo made >> log; echo working >&2; echo "$COLOUR" > thing; printf '{"colour": "%s", "size": 3}' "$COLOUR"`),
		"read":   sh(`test -e thing || exit 1; printf '{"colour": "%s", "size": 3}' "$(cat thing)"`),
		"update": sh(`echo changed >> log; echo "$COLOUR" > thing`),
		"delete": sh(`echo "removed $WFCTL_NAME $WFCTL_OUTPUT_SIZE" >> log; rm -f thing`),
		"env":    object{"COLOUR": "red"},
	}
	for k, v := range extra {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func logOf(t *testing.T, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Join(strings.Split(strings.TrimSpace(string(raw)), "\n"), ",")
}

func TestCommandLifecycle(t *testing.T) {
	needsShell(t)
	p, dir := configured(t)
	ctx, r := t.Context(), &recorder{}
	c := config(thing(object{"sensitive_outputs": []string{"colour"}}))
	res, err := p.Create(ctx, &sdk.CreateRequest{Type: TypeCommand, Name: "t", Config: c, IdempotencyKey: "k"}, r)
	if err != nil {
		t.Fatal(err)
	}
	if res.ID != "t" || res.Outputs["colour"].String() != sdk.Mask || res.Outputs["size"].String() != "3" {
		t.Errorf("%+v", res)
	}
	if !slices.Equal(r.log, []string{"working"}) {
		t.Errorf("log %q: outputs are not for it", r.log)
	}
	// The same again finds it and makes nothing.
	if _, err = p.Create(ctx, &sdk.CreateRequest{Type: TypeCommand, Name: "t", Config: c, IdempotencyKey: "k"}, r); err != nil || logOf(t, dir) != "made" || len(r.warnings) != 1 {
		t.Errorf("%v, %s, %q", err, logOf(t, dir), r.warnings)
	}
	prior := &sdk.Prior{ID: "t", Name: "t", Config: c, Outputs: sdk.Outputs{"size": res.Outputs["size"]}}
	blue := config(thing(object{"env": object{"COLOUR": "blue"}, "sensitive_outputs": []string{}}))
	up, err := p.Update(ctx, &sdk.UpdateRequest{Type: TypeCommand, ID: "t", Name: "t", Prior: prior, Config: blue, Changes: []sdk.FieldChange{{Path: "/env/COLOUR"}}}, r)
	if err != nil || up.Outputs["colour"].String() != `"blue"` {
		t.Fatalf("%+v, %v", up, err)
	}
	if _, err = p.Delete(ctx, &sdk.DeleteRequest{Type: TypeCommand, ID: "t", Name: "t", Prior: prior}, r); err != nil {
		t.Fatal(err)
	}
	if got := logOf(t, dir); got != "made,changed,removed t 3" {
		t.Error(got)
	}
	if _, err = p.Read(ctx, &sdk.ReadRequest{Type: TypeCommand, ID: "t", Name: "t", Config: blue, Prior: prior}); !sdk.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestCommandDiff(t *testing.T) {
	p, _ := configured(t)
	diff := func(c object, paths ...sdk.Path) *sdk.DiffResponse {
		t.Helper()
		res, err := p.Diff(t.Context(), &sdk.DiffRequest{Type: TypeCommand, Config: config(c), Prior: &sdk.Prior{Config: config(thing(nil))}, Changed: paths})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if got := diff(thing(nil), "/env/COLOUR").Changes[0]; got.Action != sdk.ActionUpdate || string(got.Before) != `"red"` {
		t.Errorf("%+v", got)
	}
	for path, want := range map[sdk.Path]sdk.Action{
		"/create": sdk.ActionReplace, "/sensitive_env/X": sdk.ActionReplace, "/dir": sdk.ActionReplace,
		"/read": sdk.ActionIgnore, "/delete/0": sdk.ActionIgnore, "/sensitive_outputs": sdk.ActionUpdate,
	} {
		if got := diff(thing(object{"update": nil, "read": nil}), path); got.Changes[0].Action != want || (want == sdk.ActionReplace) != (len(got.Notes) == 1) {
			t.Errorf("%s: %+v", path, got)
		}
	}
	res, err := p.Diff(t.Context(), &sdk.DiffRequest{Type: TypeCommand, Config: config(thing(object{"read": nil}))})
	if err != nil || len(res.Notes) != 1 || !strings.Contains(res.Notes[0].Message, "runs again") {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestCommandWithoutRead(t *testing.T) {
	needsShell(t)
	p, _ := configured(t)
	c := config(thing(object{"read": nil}))
	if _, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeCommand, Name: "t", Config: c}); !sdk.IsNotFound(err) {
		t.Errorf("an interrupted create: %v", err)
	}
	prior := &sdk.Prior{ID: "t", Config: c, Outputs: sdk.Outputs{"size": sdk.Out(3)}}
	if res, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeCommand, ID: "t", Name: "t", Prior: prior}); err != nil || res.Outputs["size"].String() != "3" {
		t.Errorf("a recorded one: %+v, %v", res, err)
	}
}

// A read command that ran without its secrets is not believed when it says
// that a recorded thing is gone.
func TestReadWithoutItsSecrets(t *testing.T) {
	needsShell(t)
	p, _ := configured(t)
	c := config(thing(object{"sensitive_env": object{"CORE_TEST_ABSENT": object{"$fingerprint": "h1:x"}}}))
	c.Opaque = []sdk.Path{"/sensitive_env/CORE_TEST_ABSENT"}
	prior := &sdk.Prior{ID: "t", Config: c, Outputs: sdk.Outputs{"size": sdk.Out(3)}}
	if res, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeCommand, ID: "t", Name: "t", Prior: prior}); err != nil || res.Outputs["size"].String() != "3" {
		t.Errorf("%+v, %v", res, err)
	}
	r := &recorder{}
	if _, err := p.Delete(t.Context(), &sdk.DeleteRequest{Type: TypeCommand, ID: "t", Name: "t", Prior: prior}, r); err != nil || len(r.warnings) != 1 || !strings.Contains(r.warnings[0], "CORE_TEST_ABSENT") {
		t.Errorf("%v, %q", err, r.warnings)
	}
	t.Setenv("CORE_TEST_ABSENT", "here")
	if _, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeCommand, ID: "t", Name: "t", Prior: prior}); !sdk.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

// Secrets reach the command through its environment alone, and nothing that
// the command says shows them.
func TestSecretsAreMasked(t *testing.T) {
	needsShell(t)
	const secret = "open\nsesame \"now\""
	t.Setenv("CORE_TEST_STRANGER", "not for children")
	p, _ := configured(t)
	r := &recorder{}
	c := config(object{
		"create":        sh(`printf '%s\n' "$TOKEN" "$URL"; printf '%s\n' 'quoted: open\nsesame \"now\"'; env >&2; exit 7`),
		"sensitive_env": object{"TOKEN": secret}, "env": object{"URL": "postgres://u:hunter2@h/d", "N": 5, "B": true},
	}, "/sensitive_env/TOKEN", "/env/URL")
	_, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeCommand, Name: "t", Config: c, IdempotencyKey: "key-1"}, r)
	if err == nil || !strings.Contains(err.Error(), "exited with status 7") {
		t.Fatalf("got %v", err)
	}
	all := strings.Join(r.log, "\n") + err.Error()
	for _, leak := range []string{"sesame", "open\n", "hunter2", "not for children"} {
		if strings.Contains(all, leak) {
			t.Errorf("%q is in %s", leak, all)
		}
	}
	for _, want := range []string{"WFCTL_NAME=t", "WFCTL_ID=t", "WFCTL_IDEMPOTENCY_KEY=key-1", "N=5", "B=true", "PATH="} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in %s", want, all)
		}
	}
	_, err = p.Create(t.Context(), &sdk.CreateRequest{Type: TypeCommand, Config: config(object{"create": sh("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i >&2; done; exit 1")})}, r)
	if !strings.Contains(err.Error(), "line 12") || strings.Contains(err.Error(), "line 2\n") {
		t.Errorf("the last lines: %v", err)
	}
}

func TestValidateRefusesSecretsOnCommandLines(t *testing.T) {
	p, _ := configured(t)
	c := config(thing(object{"sensitive_env": object{"COLOUR": "x"}}), "/create/2", "/sensitive_env/COLOUR")
	res, err := p.Validate(t.Context(), &sdk.ValidateRequest{Type: TypeCommand, Config: c})
	if err != nil || len(res.Diagnostics) != 2 || res.Diagnostics[0].Path != "/create" || res.Diagnostics[1].Path != "/env/COLOUR" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestOutputsThatAreNone(t *testing.T) {
	needsShell(t)
	p, _ := configured(t)
	for script, ok := range map[string]bool{
		`echo done`: true, ``: true, `echo '{"a": 1}'`: true, `echo '[1]'`: true,
		`echo '{"a": '`: false, `echo '{"level": 1}'; echo '{"level": 2}'`: false, `printf '{"a": "'; head -c 5000000 /dev/zero | tr '\0' x; printf '"}'`: false,
	} {
		r := &recorder{}
		_, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeCommand, Name: "t", Config: config(object{"create": sh(script)})}, r)
		if (err == nil) != ok {
			t.Errorf("%.30s: %v", script, err)
		}
		// The command has run: the host must know that there is a thing.
		if !ok && !slices.Equal(r.assigned, []string{"t"}) {
			t.Errorf("%.30s: assigned %q", script, r.assigned)
		}
	}
}

func TestCommandThatCannotStart(t *testing.T) {
	p, dir := configured(t)
	if err := os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]object{
		"absent": {"create": []string{"command-that-is-not-there"}}, "folder": {"create": sh("true"), "dir": "absent"},
		"not executable": {"create": []string{"./plain"}}, "empty": {"create": []string{""}},
	} {
		_, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeCommand, Config: config(c)}, &recorder{})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Cancelling ends the command with what it started, and says so.
func TestCancel(t *testing.T) {
	needsShell(t)
	p, dir := configured(t)
	for _, script := range []string{
		`echo started; sleep 60; echo never > late`,                                            // ends when told
		`trap '' TERM; echo started; (trap '' TERM; sleep 60; echo never > late) & wait; wait`, // must be killed
	} {
		ctx, cancel := context.WithCancel(t.Context())
		r := &recorder{onLog: func(string) { cancel() }}
		began := time.Now()
		_, err := p.Create(ctx, &sdk.CreateRequest{Type: TypeCommand, Config: config(object{"create": sh(script)})}, r)
		if sdk.CodeOf(err) != sdk.CodeCancelled || time.Since(began) > 10*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if _, err := os.Stat(filepath.Join(dir, "late")); err == nil {
			t.Error("it went on")
		}
		cancel()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Create(ctx, &sdk.CreateRequest{Type: TypeCommand, Config: config(object{"create": sh("sleep 60")})}, &recorder{}); sdk.CodeOf(err) != sdk.CodeDeadline {
		t.Errorf("got %v", err)
	}
}

// A daemon that a command leaves behind is not waited for, nor ended.
func TestDaemonIsLeftAlone(t *testing.T) {
	needsShell(t)
	p, dir := configured(t)
	c := config(object{"create": sh(`sleep 30 & echo $! > pid`), "delete": sh(`kill $(cat pid)`)})
	if _, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeCommand, Name: "t", Config: c}, &recorder{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Delete(t.Context(), &sdk.DeleteRequest{Type: TypeCommand, Prior: &sdk.Prior{Config: c}}, &recorder{}); err != nil {
		t.Errorf("it was not there any more in %s: %v", dir, err)
	}
}

func FuzzStdout(f *testing.F) {
	f.Add([]byte(` {"a": 1}`), 3)
	f.Add([]byte("line\nmore"), 1)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		var lines int
		s := &stdout{lines: (&call{}).lines(func(string) { lines++ })}
		cut = min(max(cut, 0), len(text))
		for _, part := range [][]byte{text[:cut], text[cut:]} {
			if n, err := s.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		s.lines.flush()
		out, err := s.object()
		if s.json && lines > 0 {
			t.Error("outputs were logged")
		}
		if err == nil && out != nil && !json.Valid(text) {
			t.Errorf("%q was taken", text)
		}
	})
}

// child creates a thing that takes long, and is killed meanwhile.
func child() {
	p := New()
	_, _ = p.Configure(context.Background(), &sdk.ConfigureRequest{BaseDir: os.Getenv("CORE_TEST_CHILD")})
	_, err := p.Create(context.Background(), &sdk.CreateRequest{Type: TypeCommand, Config: config(object{"create": sh("sleep 60 & echo $$ $! >&2; wait")})},
		&recorder{onLog: func(line string) {
			_ = procgroup.Run(context.Background(), exec.Command("true"), time.Second) // then the watchdog knows of the first
			fmt.Println(line)
		}})
	fmt.Fprintln(os.Stderr, err)
}
