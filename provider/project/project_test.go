package project

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a host that listens.
type recorder struct {
	mu       sync.Mutex
	log      []string
	progress []string
}

func (r *recorder) Assigned(string) error { return nil }
func (r *recorder) Progress(message string, _ float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = append(r.progress, message)
}

func (r *recorder) Log(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, line)
}
func (r *recorder) Warn(sdk.Diagnostic) {}

func config(format string, args ...any) sdk.Config {
	return sdk.Config{JSON: json.RawMessage(fmt.Sprintf(format, args...))}
}

func newProject(t *testing.T, files map[string]string) (sdk.Provider, string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	p := New(Options{ImagesDir: filepath.Join(dir, ".wfctl", "images"), Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if _, err := p.Configure(t.Context(), &sdk.ConfigureRequest{BaseDir: dir}); err != nil {
		t.Fatal(err)
	}
	return p, dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, p sdk.Provider, typ string, c sdk.Config) (*sdk.Prior, *recorder) {
	t.Helper()
	r := &recorder{}
	res, err := p.Create(t.Context(), &sdk.CreateRequest{Type: typ, Name: "x", Config: c}, r)
	if err != nil {
		t.Fatal(err)
	}
	return &sdk.Prior{ID: res.ID, Name: "x", Config: c, Outputs: res.Outputs}, r
}

func diff(t *testing.T, p sdk.Provider, typ string, prior *sdk.Prior, c sdk.Config, changed ...sdk.Path) *sdk.DiffResponse {
	t.Helper()
	res, err := p.Diff(t.Context(), &sdk.DiffRequest{Type: typ, Name: "x", Prior: prior, Config: c, Changed: changed})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Every schema compiles, and every declared output is reported.
func TestSchemas(t *testing.T) {
	p, _ := newProject(t, nil)
	s, err := p.Schema(t.Context())
	if err != nil || len(s.Types) != 6 {
		t.Fatalf("%d types, %v", len(s.Types), err)
	}
	good := map[string]string{
		TypeImage:     `{"builder": "go", "package": "./cmd/x", "registries": ["ghcr"], "tags": ["v1"], "ldflags": "-s"}`,
		TypePush:      `{"digest": "sha256:x", "registries": [{"name": "ghcr", "type": "github"}], "tags": ["v1"]}`,
		TypeMigration: `{"database_url": "sqlite:///x.db", "dir": "m", "lock_timeout": "1m30s"}`,
		TypeGate:      `{"timeout": "2m", "targets": [{"url": "http://x", "expect_status": [200, "3xx"]}, {"tcp": "a:1"}]}`,
		TypeSecret:    `{"kind": "uuid", "sinks": [{"sink": "memory", "name": "x"}]}`,
		TypeJobSecret: `{"source": "db.url", "value": "x", "sinks": [{"sink": "memory", "name": "x", "options": {}}]}`,
	}
	bad := map[string]string{
		TypeImage: `{"pakage": "."}`, TypePush: `{"digest": "x", "registries": [], "tags": ["a/b"]}`, TypeMigration: `{"dir": "m"}`, TypeGate: `{"targets": [{"url": "http://x", "tcp": "y"}]}`,
		TypeSecret: `{"kind": "uuid", "value": "x", "sinks": [{"sink": "nope", "name": "x"}]}`, TypeJobSecret: `{"sinks": []}`,
	}
	for _, typ := range s.Types {
		var doc any
		if err := json.Unmarshal(typ.Config, &doc); err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("x.json", doc); err != nil {
			t.Fatal(err)
		}
		schema, err := c.Compile("x.json")
		if err != nil {
			t.Fatalf("%s: %v", typ.Name, err)
		}
		for text, ok := range map[string]bool{good[typ.Name]: true, bad[typ.Name]: false} {
			var v any
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(v); (err == nil) != ok {
				t.Errorf("%s %s: %v", typ.Name, text, err)
			}
		}
		res, err := p.Validate(t.Context(), &sdk.ValidateRequest{Type: typ.Name, Name: "x", Config: config("%s", bad[typ.Name])})
		if err != nil || len(res.Diagnostics) == 0 {
			t.Errorf("%s: %v, %v", typ.Name, res, err)
		}
	}
}

func TestNilAndEmptyRequests(t *testing.T) {
	p, _ := newProject(t, nil)
	ctx, r := t.Context(), &recorder{}
	for _, typ := range []string{"", "other", TypeImage, TypeMigration, TypeGate, TypeSecret, TypeJobSecret} {
		_, _ = p.Validate(ctx, &sdk.ValidateRequest{Type: typ})
		_, _ = p.Diff(ctx, &sdk.DiffRequest{Type: typ})
		_, _ = p.Diff(ctx, &sdk.DiffRequest{Type: typ, Prior: &sdk.Prior{}})
		if _, err := p.Create(ctx, &sdk.CreateRequest{Type: typ}, r); err == nil {
			t.Errorf("%q was created of nothing", typ)
		}
		if _, err := p.Read(ctx, &sdk.ReadRequest{Type: typ}); err == nil {
			t.Errorf("%q was read of nothing", typ)
		}
		_, _ = p.Update(ctx, &sdk.UpdateRequest{Type: typ}, r)
		_, _ = p.Delete(ctx, &sdk.DeleteRequest{Type: typ}, r)
	}
	if _, err := p.Create(ctx, nil, r); sdk.CodeOf(err) != sdk.CodeInvalid {
		t.Errorf("got %v", err)
	}
}

var source = map[string]string{
	"go.mod": "module example.com/x\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() {}\n", "README.md": "",
}

func TestImage(t *testing.T) {
	p, dir := newProject(t, source)
	c := config(`{"builder": "go", "registries": ["ghcr"], "tags": ["latest"]}`)
	if res := diff(t, p, TypeImage, nil, c); len(res.Changes) != 0 {
		t.Errorf("%+v", res)
	}
	prior, _ := create(t, p, TypeImage, c)
	digest, ref := outputString(prior.Outputs, "digest"), outputString(prior.Outputs, "ref")
	if want := "oci-layout:" + filepath.Join(dir, ".wfctl", "images", "x") + "@" + digest; ref != want || !strings.HasPrefix(digest, "sha256:") {
		t.Errorf("ref %s, digest %s", ref, digest)
	}
	if res := diff(t, p, TypeImage, prior, c); len(res.Changes) != 0 || len(res.Outputs) != 4 || res.Changes == nil {
		t.Errorf("unchanged: %+v", res)
	}
	write(t, filepath.Join(dir, "README.md"), "changed")
	if res := diff(t, p, TypeImage, prior, c); len(res.Changes) != 0 {
		t.Errorf("README: %+v", res)
	}
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { println() }\n")
	if res := diff(t, p, TypeImage, prior, c, "/tags"); len(res.Changes) != 2 || res.Changes[0].Reason != "the source changed" || len(res.Outputs) != 0 {
		t.Errorf("changed: %+v", res)
	}
	read, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeImage, ID: "x", Name: "x", Prior: prior})
	if err != nil || !read.Outputs["ref"].Equal(prior.Outputs["ref"]) || !read.Outputs["source"].Equal(prior.Outputs["source"]) {
		t.Errorf("%+v, %v", read, err)
	}
	up, err := p.Update(t.Context(), &sdk.UpdateRequest{Type: TypeImage, ID: "x", Name: "x", Prior: prior, Config: c}, &recorder{})
	if err != nil || outputString(up.Outputs, "digest") == digest {
		t.Fatalf("%+v, %v", up, err)
	}
	if _, err := p.Delete(t.Context(), &sdk.DeleteRequest{Type: TypeImage, ID: "x", Name: "x"}, &recorder{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeImage, ID: "x", Name: "x", Prior: prior}); !sdk.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".wfctl", "images")); err == nil {
		t.Error("the folder of images is left")
	}
}

// A layout that lost a part is no image.
func TestImageWithAMissingBlob(t *testing.T) {
	p, dir := newProject(t, source)
	prior, _ := create(t, p, TypeImage, config(`{}`))
	blobs, err := filepath.Glob(filepath.Join(dir, ".wfctl/images/x/blobs/sha256/*"))
	if err != nil || len(blobs) == 0 {
		t.Fatal(err)
	}
	for _, blob := range blobs {
		raw, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(blob, int64(len(raw)/2)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeImage, ID: "x", Name: "x", Prior: prior}); !sdk.IsNotFound(err) {
			t.Errorf("%s: got %v", filepath.Base(blob), err)
		}
		if err := os.WriteFile(blob, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeImage, ID: "x", Name: "x", Prior: prior}); err != nil {
		t.Errorf("whole again: %v", err)
	}
}

func TestImageErrors(t *testing.T) {
	p, dir := newProject(t, source)
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() {\n\tundefined()\n\tabsent()\n}\n")
	r := &recorder{}
	_, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeImage, Name: "x", Config: config(`{}`)}, r)
	if sdk.CodeOf(err) != sdk.CodeInvalid || !strings.Contains(err.Error(), "main.go:4:2") || !strings.Contains(strings.Join(r.log, "\n"), "undefined: absent") {
		t.Errorf("got %v, log %q", err, r.log)
	}
	for _, text := range []string{`{"builder": "cargo"}`, `{"builder": 5}`, `[]`, `{"dir": "absent"}`} {
		if _, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeImage, Name: "x", Config: config("%s", text)}, r); sdk.CodeOf(err) != sdk.CodeInvalid {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

var migrations = map[string]string{
	"migrations/1_a.sql": "-- +goose Up\nCREATE TABLE a (id INTEGER);\n-- +goose Down\nDROP TABLE a;\n",
}

func TestMigration(t *testing.T) {
	p, dir := newProject(t, migrations)
	c := config(`{"database_url": "sqlite://%s", "dir": "migrations"}`, filepath.ToSlash(filepath.Join(dir, "x.db")))
	c.Sensitive = []sdk.Path{"/database_url"}
	if res := diff(t, p, TypeMigration, nil, c); len(res.Outputs["hash"].Reveal()) == 0 {
		t.Errorf("%+v", res)
	}
	prior, r := create(t, p, TypeMigration, c)
	if prior.Outputs["version"].String() != "1" || outputString(prior.Outputs, "dialect") != "sqlite" || len(r.progress) != 1 {
		t.Errorf("%v, %q", prior.Outputs, r.progress)
	}
	read := func() *sdk.ReadResponse {
		t.Helper()
		res, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeMigration, ID: "x", Name: "x", Prior: prior, Config: c})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := read(); !res.Healthy {
		t.Errorf("%+v", res)
	}
	if res := diff(t, p, TypeMigration, prior, c); len(res.Changes) != 0 || len(res.Notes) != 0 {
		t.Errorf("%+v", res)
	}
	write(t, filepath.Join(dir, "migrations/2_b.sql"), "-- +goose Up\nDROP TABLE a;\n")
	if res := read(); res.Healthy || !strings.Contains(res.Reason, "migration 2 (b) is pending") {
		t.Errorf("%+v", res)
	}
	if res := diff(t, p, TypeMigration, prior, c); len(res.Changes) != 1 || len(res.Notes) != 1 || !strings.Contains(res.Notes[0].Message, "destroys data") {
		t.Errorf("%+v", res)
	}
	up, err := p.Update(t.Context(), &sdk.UpdateRequest{Type: TypeMigration, ID: "x", Name: "x", Prior: prior, Config: c}, r)
	if err != nil || up.Outputs["version"].String() != "2" {
		t.Fatalf("%+v, %v", up, err)
	}
	if _, err := p.Delete(t.Context(), &sdk.DeleteRequest{Type: TypeMigration, ID: "x", Name: "x"}, r); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM goose_db_version WHERE version_id > 0").Scan(&n); err != nil || n != 2 {
		t.Errorf("deleting the record touched the database: %d, %v", n, err)
	}
}

// A database that cannot be asked leaves what is recorded.
func TestMigrationReadWithoutADatabase(t *testing.T) {
	p, _ := newProject(t, migrations)
	prior := &sdk.Prior{ID: "x", Outputs: sdk.Outputs{"version": sdk.Out(1)}}
	for _, c := range []sdk.Config{
		{}, config(`{"database_url": "postgres://u:p@127.0.0.1:1/x?connect_timeout=1"}`),
		{JSON: []byte(`{"database_url": {"$fingerprint": "h1:x"}}`), Opaque: []sdk.Path{"/database_url"}},
	} {
		res, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeMigration, ID: "x", Name: "x", Prior: prior, Config: c})
		if err != nil || !res.Healthy || res.Outputs["version"].String() != "1" {
			t.Errorf("%+v, %v", res, err)
		}
	}
	if _, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeMigration, Name: "x", Prior: &sdk.Prior{}}); !sdk.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestMigrationErrors(t *testing.T) {
	p, dir := newProject(t, migrations)
	url := "sqlite://" + filepath.ToSlash(filepath.Join(dir, "x.db"))
	write(t, filepath.Join(dir, "migrations/2_b.sql"), "-- +goose Up\nCREATE TABLE b (id INTEGER);\nINSERT INTO absent VALUES (1);\n")
	r := &recorder{}
	_, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeMigration, Name: "x", Config: config(`{"database_url": %q}`, url)}, r)
	if sdk.CodeOf(err) != sdk.CodeInvalid || !strings.Contains(err.Error(), "2_b.sql:3:1: migration 2 (b) failed at statement 2 of 2") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(strings.Join(r.log, "\n"), "1 undone  CREATE TABLE b") {
		t.Errorf("log %q", r.log)
	}
	_, err = p.Create(t.Context(), &sdk.CreateRequest{Type: TypeMigration, Name: "x", Config: config(`{"database_url": "postgres://u:hunter2@127.0.0.1:1/x"}`)}, r)
	if sdk.CodeOf(err) != sdk.CodeUnavailable || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	write(t, filepath.Join(dir, "migrations/noversion.sql"), "")
	write(t, filepath.Join(dir, "migrations/3_c.sql"), "SELECT 1;")
	res, err := p.Validate(t.Context(), &sdk.ValidateRequest{Type: TypeMigration, Name: "x", Config: sdk.Config{JSON: []byte(`{"database_url": null}`), Unknown: []sdk.Path{"/database_url"}}})
	if err != nil || len(res.Diagnostics) != 2 {
		t.Errorf("%+v, %v", res, err)
	}
}

func server(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func TestGate(t *testing.T) {
	var asked atomic.Int64
	address := server(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	p, _ := newProject(t, nil)
	c := config(`{"timeout": "1m", "targets": [{"url": %q, "expect_status": 200}]}`, address)
	prior, r := create(t, p, TypeGate, c)
	if asked.Load() != 3 || len(r.progress) != 3 || !strings.Contains(r.progress[0], "status 503, want 200") || !strings.Contains(r.progress[2], "200 in") {
		t.Errorf("asked %d times, %q", asked.Load(), r.progress)
	}
	if res, err := p.Read(t.Context(), &sdk.ReadRequest{Type: TypeGate, ID: "x", Name: "x", Prior: prior}); err != nil || !res.Healthy {
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := p.Update(t.Context(), &sdk.UpdateRequest{Type: TypeGate, ID: "x", Name: "x", Prior: prior, Config: c}, r); err != nil || asked.Load() != 4 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
}

func TestGateThatFails(t *testing.T) {
	const secret = "sesame-opens"
	address := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "echo "+r.Header.Get("X-Key"))
	})
	p, _ := newProject(t, nil)
	c := config(`{"timeout": "2s", "max_retries": 2, "targets": [{"name": "api", "url": %q, "headers": {"X-Key": %q}}, {"name": "queue", "tcp": "127.0.0.1:1"}]}`, address, secret)
	c.Sensitive = []sdk.Path{"/targets/0/headers/X-Key"}
	r := &recorder{}
	_, err := p.Create(t.Context(), &sdk.CreateRequest{Type: TypeGate, Name: "x", Config: c}, r)
	if err == nil || !strings.Contains(err.Error(), "api failed: it failed 3 times: status 500, want 2xx; queue failed: it failed 3 times: the connection is refused") {
		t.Fatalf("got %v", err)
	}
	if code := sdk.CodeOf(err); code == sdk.CodeUnavailable || code == sdk.CodeRateLimited {
		t.Errorf("the host would try a gate again: %s", code)
	}
	all := strings.Join(append(r.log, r.progress...), "\n") + err.Error()
	if strings.Contains(all, secret) || !strings.Contains(all, "body: echo ***MASKED***") {
		t.Errorf("%s", all)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Create(ctx, &sdk.CreateRequest{Type: TypeGate, Name: "x", Config: c}, r); sdk.CodeOf(err) != sdk.CodeCancelled {
		t.Errorf("got %v", err)
	}
}

func TestGateValidatesWithUnknownAddresses(t *testing.T) {
	p, _ := newProject(t, nil)
	res, err := p.Validate(t.Context(), &sdk.ValidateRequest{Type: TypeGate, Config: sdk.Config{
		JSON: []byte(`{"targets": [{"url": null}, {"url": "http://x", "expect_jq": ".["}]}`), Unknown: []sdk.Path{"/targets/0/url"},
	}})
	if err != nil || len(res.Diagnostics) != 1 || !strings.Contains(res.Diagnostics[0].Message, "target 2") {
		t.Errorf("%+v, %v", res, err)
	}
}
