//go:build unix

package supervisor

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test's own binary is also the supervisor's process and the programs
// that it runs.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "__supervise":
			os.Exit(superviseMain(os.Args[2:]))
		case "__app":
			appMain(os.Args[2:])
			return
		}
	}
	goleak.VerifyTestMain(m)
}

func superviseMain(args []string) int {
	flags := flag.NewFlagSet("supervise", flag.ExitOnError)
	dir := flags.String("dir", "", "")
	runtime := flags.String("runtime", "", "")
	backoff := flags.Duration("backoff", 20*time.Millisecond, "")
	idle := flags.Duration("idle", 30*time.Second, "")
	size := flags.Int64("logsize", 0, "")
	_ = flags.Parse(args)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := Run(ctx, Options{
		Dir: *dir, RuntimeDir: *runtime, Idle: *idle, LogSize: *size, Tidy: 100 * time.Millisecond,
		Backoff: func(int) time.Duration { return *backoff },
		Servers: map[string]Server{"echo": echoServer},
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil && err != ErrHeld { //nolint:errorlint // it is returned as it is
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func echoServer(ctx context.Context, options json.RawMessage, ln net.Listener, log func(string)) error {
	log("echo is up")
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/die" {
			panicOutside(ln)
		}
		_, _ = w.Write(options)
	})}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	return srv.Serve(ln)
}

func panicOutside(ln net.Listener) { _ = ln.Close() }

// appMain is the program under supervision: one of several behaviours.
func appMain(args []string) {
	switch args[0] {
	case "exit":
		fmt.Println("about to fail: no such table")
		os.Exit(3)
	case "hang":
		fmt.Println("I never listen")
		waitForSignal()
	case "sleepy": // a child that stays when its parent is killed
		child := exec.Command(os.Args[0], "__app", "hang")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Println("child", child.Process.Pid)
		serveMain(args)
	case "tick":
		for i := 0; ; i++ {
			fmt.Println("tick", i)
			<-time.After(5 * time.Millisecond)
		}
	default:
		serveMain(args)
	}
}

func waitForSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	<-c
}

// serveMain answers its argument, its environment, and ends when told to.
func serveMain(args []string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	healthy := true
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, args[len(args)-1]) })
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Join(os.Environ(), "\n")) })
	mux.HandleFunc("/stdin", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, os.Stdin) })
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	mux.HandleFunc("/sick", func(http.ResponseWriter, *http.Request) { healthy = false })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		<-time.After(100 * time.Millisecond)
		fmt.Fprint(w, args[len(args)-1])
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !healthy {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	fmt.Println("serving", args[len(args)-1])
	srv := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: mux}
	go func() {
		<-ctx.Done()
		_ = srv.Shutdown(context.Background())
	}()
	if err := srv.ListenAndServe(); err != http.ErrServerClosed { //nolint:errorlint // it is returned as it is
		fmt.Println(err)
		os.Exit(1)
	}
}

// bench is a folder with a supervisor in a process of its own.
type bench struct {
	t   *testing.T
	cfg Config
}

func newBench(t *testing.T, args ...string) *bench {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, cfg: Config{
		Dir: filepath.Join(t.TempDir(), "work"), RuntimeDir: shortTemp(t),
		Command: append([]string{exe, "__supervise"}, args...),
	}}
	t.Cleanup(b.end)
	return b
}

func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "r")
}

func (b *bench) connect() *Client {
	b.t.Helper()
	c, err := Connect(b.t.Context(), b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

// end stops what a test left, and fails it where anything stays.
func (b *bench) end() {
	ctx := context.Background()
	if c, err := Dial(ctx, b.cfg.Dir); err == nil {
		_ = c.Stop(ctx)
		c.Close()
	}
	_ = Reap(ctx, b.cfg.Dir)
	eventually(b.t, "no process is left", func() bool { return len(processesWith(b.cfg.Dir)) == 0 })
}

func (b *bench) app(name string, args ...string) Spec {
	return Spec{
		Name: name, Command: append([]string{b.cfg.Command[0], "__app"}, args...),
		Env: []string{"WORK=" + b.cfg.Dir}, Listen: &Listen{}, Grace: 5 * time.Second,
		Ready: Probe{HTTP: "/healthz", Timeout: 10 * time.Second, Interval: 50 * time.Millisecond, Attempt: time.Second},
	}
}

func (b *bench) apply(c *Client, spec Spec) Status {
	b.t.Helper()
	st, err := c.Apply(b.t.Context(), spec, func(e Event) { b.t.Log(e) })
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
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

// processesWith lists the processes whose environment or command line names
// a folder.
func processesWith(dir string) []string {
	var found []string
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		cmd, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if strings.Contains(string(env)+string(cmd), dir) {
			found = append(found, e.Name()+" "+strings.ReplaceAll(string(cmd), "\x00", " "))
		}
	}
	return found
}

func get(t *testing.T, port int, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + loopback(port) + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, _ := io.ReadAll(resp.Body)
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode, string(body)
}
