//go:build unix

package local_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/build"
	"github.com/gocodealone/wfctl/provider/local"
	"github.com/gocodealone/wfctl/provider/local/supervisor"
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
	if len(os.Args) > 1 && os.Args[1] == "__docker" {
		os.Exit(fakeDocker(os.Args[2:]))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(images)
		os.Exit(code)
	}), goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// machine is the provider at work in a folder of the test's own.
type machine struct {
	t    *testing.T
	p    sdk.Provider
	work string
}

func newMachine(t *testing.T, adapt ...func(*local.Options)) *machine {
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
	o := local.Options{RuntimeDir: runtime, SharedDir: shared}
	for _, a := range adapt {
		a(&o)
	}
	m.p = local.New(o)
	t.Cleanup(m.nothingRuns)
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

// nothingRuns fails a test that left a process behind.
func (m *machine) nothingRuns() {
	http.DefaultClient.CloseIdleConnections()
	eventually(m.t, "no process is left", func() bool { return len(processesWith(m.work)) == 0 })
}

func processesWith(dir string) []string {
	var found []string
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		cmd, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if strings.Contains(string(cmd), dir) {
			found = append(found, e.Name())
		}
	}
	return found
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("did not come true: %s", what)
		case <-ticker.C:
		}
	}
}

// killSupervisor ends it as a reboot would: without a chance to tidy up.
func (m *machine) killSupervisor() {
	m.t.Helper()
	c, err := supervisor.Dial(m.t.Context(), m.work)
	if err != nil {
		m.t.Fatal(err)
	}
	c.Close()
	if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
		m.t.Fatal(err)
	}
	eventually(m.t, "the supervisor is gone", func() bool {
		_, err := supervisor.Dial(m.t.Context(), m.work)
		return errors.Is(err, supervisor.ErrNotRunning)
	})
}

func (m *machine) update(typ, id, name, text string) sdk.Outputs {
	m.t.Helper()
	res, err := m.p.Update(m.t.Context(), &sdk.UpdateRequest{Type: typ, ID: id, Name: name, Ownership: owner(name), Config: config(text)}, reporter{m.t})
	if err != nil {
		m.t.Fatalf("update %s: %v", name, err)
	}
	return res.Outputs
}

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
	if len(os.Args) > 1 { // a job, or a worker that serves nothing
		fmt.Println(os.Args[1], os.Getenv("VERSION"))
		if os.Args[1] == "work" {
			told := make(chan os.Signal, 1)
			signal.Notify(told, syscall.SIGTERM)
			<-told
		}
		return
	}
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

// image returns the program in a layout, built once for all tests.
func image(t *testing.T) string {
	t.Helper()
	ref, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

var (
	images = filepath.Join(os.TempDir(), fmt.Sprintf("wfctl-local-test-%d", os.Getpid()))
	built  = sync.OnceValues(func() (string, error) { return buildImage("program", program) })
)

func buildImage(name, source string) (string, error) {
	src := filepath.Join(images, "src-"+name)
	if err := os.MkdirAll(src, 0o700); err != nil {
		return "", err
	}
	for file, text := range map[string]string{"go.mod": "module program\n\ngo 1.24\n", "main.go": source} {
		if err := os.WriteFile(filepath.Join(src, file), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	spec := build.Spec{Name: name, BaseDir: src, Options: []byte(`{"package": "."}`)}
	img, err := build.Make(context.Background(), build.Go{}, build.NewStore(filepath.Join(images, "layouts")), spec, func(string, float64) {})
	if err != nil {
		return "", err
	}
	return img.Ref(), nil
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
