package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/sdk"
)

func TestMain(m *testing.M) {
	if os.Getenv(cookieKey) != "" {
		misbehaveAtStart()
		Serve(&fake{})
		return
	}
	if os.Getenv("FAKE_HOST") != "" {
		host()
		return
	}
	goleak.VerifyTestMain(m)
}

func testContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

// misbehaveAtStart does what the test asked for before the handshake.
func misbehaveAtStart() {
	switch os.Getenv("FAKE_START") {
	case "noise":
		fmt.Println("a greeting")
		fmt.Print(strings.Repeat("x", 200<<10)) // no end of line before the handshake
	case "exit":
		fmt.Fprintln(os.Stderr, "missing token")
		os.Exit(3)
	case "silent":
		blockForEver()
	}
}

// fake is a provider that does what the name of a resource asks for.
type fake struct {
	mu     sync.Mutex
	closed bool
}

func (f *fake) Schema(context.Context) (*sdk.Schema, error) {
	return &sdk.Schema{Name: "fake", Types: []sdk.ResourceSchema{{Name: "fake.thing", Config: json.RawMessage(`{}`)}}}, nil
}

func (f *fake) Configure(context.Context, *sdk.ConfigureRequest) (*sdk.ConfigureResponse, error) {
	return &sdk.ConfigureResponse{}, nil
}

func (f *fake) Validate(context.Context, *sdk.ValidateRequest) (*sdk.ValidateResponse, error) {
	return nil, nil // neither answer nor error
}

func (f *fake) Diff(_ context.Context, req *sdk.DiffRequest) (*sdk.DiffResponse, error) {
	if req.Name == "bad" {
		return &sdk.DiffResponse{Changes: []sdk.FieldChange{{Path: "/x", Action: "explode"}}}, nil
	}
	return &sdk.DiffResponse{Outputs: sdk.Outputs{"size": sdk.Out(len(req.Config.Bytes()))}}, nil
}

func (f *fake) Read(ctx context.Context, req *sdk.ReadRequest) (*sdk.ReadResponse, error) {
	switch req.Name {
	case "gone":
		return nil, fmt.Errorf("look: %w", sdk.Errorf(sdk.CodeNotFound, "no %q here", req.Name).WithHint("make it"))
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case "panic":
		var m map[string]int
		m["x"] = 1 //nolint:staticcheck // a panic is wanted
	case "huge":
		return &sdk.ReadResponse{ID: strings.Repeat("x", MaxMessage)}, nil
	}
	fmt.Println("noise on standard output")
	return &sdk.ReadResponse{ID: "id-" + req.Name, Config: req.Config, Healthy: true, Outputs: sdk.Outputs{
		"env": sdk.Out(os.Environ()), "token": sdk.SecretOut("s3cret"), "pid": sdk.Out(os.Getpid()),
	}}, nil
}

func (f *fake) Create(ctx context.Context, req *sdk.CreateRequest, report sdk.Reporter) (*sdk.CreateResponse, error) {
	report.Progress("on it", 0.5)
	report.Log("a line with \xff in it")
	report.Warn(sdk.Diagnostic{Severity: sdk.SeverityWarning, Path: "/size", Message: "small", Hint: "larger"})
	if err := report.Assigned("id-" + req.Name); err != nil {
		return nil, sdk.Wrap(sdk.CodeConflict, err, "stopped")
	}
	switch req.Name {
	case "wait":
		<-ctx.Done()
		report.Log("stopping")
		return &sdk.CreateResponse{ID: "late"}, nil
	case "fail when cancelled":
		<-ctx.Done()
		return nil, ctx.Err()
	case "hang":
		select {}
	case "die":
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(7)
	case "panic":
		panic("at the disco")
	case "panic elsewhere":
		go func() { panic("in a goroutine") }()
		select {}
	case "child":
		cmd := exec.Command("/bin/sleep", "60")
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		report.Log(fmt.Sprint(cmd.Process.Pid))
	case "late report":
		time.AfterFunc(time.Millisecond, func() { report.Log("too late"); _ = report.Assigned("x") })
	}
	return &sdk.CreateResponse{ID: "id-" + req.Name, Outputs: sdk.Outputs{"key": sdk.Out(req.IdempotencyKey), "deadline": sdk.Out(!req.Deadline.IsZero())}}, nil
}

func (f *fake) Update(_ context.Context, req *sdk.UpdateRequest, _ sdk.Reporter) (*sdk.UpdateResponse, error) {
	return &sdk.UpdateResponse{ID: req.ID, Outputs: sdk.Outputs{"changes": sdk.Out(len(req.Changes))}}, nil
}

func (f *fake) Delete(context.Context, *sdk.DeleteRequest, sdk.Reporter) (*sdk.DeleteResponse, error) {
	return &sdk.DeleteResponse{}, nil
}

func (f *fake) Logs(ctx context.Context, req *sdk.LogsRequest, line func(sdk.LogLine) error) error {
	for i := range 3 {
		if err := line(sdk.LogLine{Text: fmt.Sprint(i), Source: req.Name}); err != nil {
			return err
		}
	}
	if req.Follow {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (f *fake) Close(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

// heard is a Reporter that remembers.
type heard struct {
	mu    sync.Mutex
	lines []string
	fail  error
	on    func(string)
}

func (h *heard) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	h.mu.Lock()
	h.lines = append(h.lines, line)
	h.mu.Unlock()
	if h.on != nil {
		h.on(line)
	}
}

func (h *heard) Assigned(id string) error     { h.add("assigned %s", id); return h.fail }
func (h *heard) Progress(m string, f float64) { h.add("progress %s %v", m, f) }
func (h *heard) Log(line string)              { h.add("log %s", line) }
func (h *heard) Warn(d sdk.Diagnostic)        { h.add("warn %v", d) }

func (h *heard) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.lines, "\n")
}

// output is what a plugin printed.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// command starts this test again as the plugin.
func command(env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(env, "GORACE=atexit_sleep_ms=0") // under -race an end takes a second otherwise
	return cmd
}

// ends are both ways to a fake: within the process and as a process.
func ends(t *testing.T, f func(t *testing.T, c *Conn)) {
	t.Helper()
	t.Run("loop", func(t *testing.T) {
		c, err := Loop(t.Context(), &fake{}, LoopOptions{Grace: 2 * time.Second})
		use(t, c, err, f)
	})
	t.Run("process", func(t *testing.T) {
		c, err := Dial(t.Context(), DialOptions{Command: command(), Grace: 2 * time.Second})
		use(t, c, err, f)
	})
}

func use(t *testing.T, c *Conn, err error, f func(t *testing.T, c *Conn)) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	f(t, c)
	if err := c.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// blockForEver waits for a signal that nobody sends: a program without any
// goroutine that could go on would be ended by the runtime as deadlocked.
func blockForEver() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, os.Interrupt)
	<-never
}
