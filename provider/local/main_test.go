package local_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/provider/local"
	"github.com/gocodealone/wfctl/sdk"
)

// TestMain lets the test binary be the supervisor, as wfctl is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "__supervise" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err := local.Supervise(ctx, os.Args[2:], os.Stderr)
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// machine is the provider at work in a folder of the test's own.
type machine struct {
	t    *testing.T
	p    sdk.Provider
	work string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, work: filepath.Join(t.TempDir(), "local")}
	runtime, err := os.MkdirTemp("", "wl") // short: a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	shared, err := os.MkdirTemp("", "ws") // another user passes through it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(shared) })
	if err := os.Chmod(shared, 0o711); err != nil {
		t.Fatal(err)
	}
	m.p = local.New(local.Options{RuntimeDir: runtime, SharedDir: shared})
	_, err = m.p.Configure(t.Context(), &sdk.ConfigureRequest{Project: "shop", Environment: "test", WorkDir: m.work, BaseDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func owner(name string) sdk.Ownership {
	return sdk.Ownership{Project: "shop", Environment: "test", Module: name}
}

func config(text string) sdk.Config { return sdk.Config{JSON: []byte(text)} }

// create makes a resource, and removes it when the test is over.
func (m *machine) create(typ, name, text string) sdk.Outputs {
	m.t.Helper()
	res, err := m.p.Create(m.t.Context(), &sdk.CreateRequest{Type: typ, Name: name, Ownership: owner(name), Config: config(text), IdempotencyKey: "key-" + name}, reporter{m.t})
	if err != nil {
		m.t.Fatalf("create %s: %v", name, err)
	}
	m.t.Cleanup(func() { m.remove(typ, name, res.ID) })
	return res.Outputs
}

func (m *machine) remove(typ, name, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := m.p.Delete(ctx, &sdk.DeleteRequest{Type: typ, Name: name, ID: id, Ownership: owner(name)}, reporter{m.t}); err != nil {
		m.t.Errorf("delete %s: %v", name, err)
	}
}

func (m *machine) read(typ, name string) (*sdk.ReadResponse, error) {
	return m.p.Read(m.t.Context(), &sdk.ReadRequest{Type: typ, Name: name, Ownership: owner(name)})
}

// reporter writes what a provider tells into the test's log.
type reporter struct{ t *testing.T }

func (r reporter) Assigned(string) error              { return nil }
func (r reporter) Progress(message string, _ float64) { r.t.Log(message) }
func (r reporter) Log(line string)                    { r.t.Log(line) }
func (r reporter) Warn(d sdk.Diagnostic)              { r.t.Log("warning: " + d.Message) }

// program is what the services of these tests run: it answers with its
// version and its secret's length, ends at once where it is told to, and
// takes a moment to end otherwise, as real services do.
const program = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if os.Getenv("FAIL") != "" {
		fmt.Println("it cannot start: FAIL is set")
		os.Exit(3)
	}
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "version %s, secret of %d", os.Getenv("VERSION"), len(os.Getenv("SECRET")))
	})}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	done := make(chan struct{})
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Shutdown(drain)
		close(done)
	}()
	fmt.Println("listening")
	server.ListenAndServe()
	<-done
}
`

// image builds the program into a layout and returns its reference.
func image(t *testing.T) string {
	t.Helper()
	src := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module program\n\ngo 1.24\n", "main.go": program} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spec := build.Spec{Name: "program", BaseDir: src, Options: []byte(`{"package": "."}`)}
	img, err := build.Make(t.Context(), build.Builders()["go"], build.NewStore(filepath.Join(t.TempDir(), "images")), spec, func(string, float64) {})
	if err != nil {
		t.Fatal(err)
	}
	return img.Ref()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body := make([]byte, 200)
	n, _ := res.Body.Read(body)
	return res.StatusCode, string(body[:n])
}
