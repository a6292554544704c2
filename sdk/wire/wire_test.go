package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/sdk"
)

func create(name string) *sdk.CreateRequest {
	return &sdk.CreateRequest{Type: "fake.thing", Name: name, IdempotencyKey: "k", Deadline: time.Now().Add(time.Minute)}
}

func TestCall(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		s, err := c.Schema(t.Context())
		if err != nil || s.Name != "fake" || len(s.Capabilities) != 1 {
			t.Fatalf("%+v %v", s, err)
		}
		r, err := c.Read(t.Context(), &sdk.ReadRequest{Type: "fake.thing", Name: "a", Config: sdk.Config{JSON: []byte(`{"a":"ü"}`), Sensitive: []sdk.Path{"/a"}}})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Outputs["token"].Sensitive() || string(r.Outputs["token"].Reveal()) != `"s3cret"` || !r.Config.IsSensitive("/a") {
			t.Errorf("sensitivity is lost: %v", r.Outputs["token"])
		}
		u, err := c.Update(t.Context(), &sdk.UpdateRequest{Type: "fake.thing", ID: "x", Changes: make([]sdk.FieldChange, 2)}, nil)
		if err != nil || u.Outputs["changes"].String() != "2" {
			t.Errorf("%v %v", u, err)
		}
		if _, err := c.Delete(t.Context(), &sdk.DeleteRequest{Type: "fake.thing"}, &heard{}); err != nil {
			t.Error(err)
		}
	})
}

func TestEventsArriveInOrder(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		h := &heard{}
		r, err := c.Create(t.Context(), create("a"), h)
		if err != nil || r.ID != "id-a" || r.Outputs["deadline"].String() != "true" {
			t.Fatalf("%+v %v", r, err)
		}
		want := "progress on it 0.5\nlog a line with \uFFFD in it\nwarn {warning /size small larger}\nassigned id-a"
		if h.all() != want {
			t.Errorf("heard\n%s\nwant\n%s", h.all(), want)
		}
	})
}

// The plugin goes on only when the identifier is durable, and learns when it
// could not be made so.
func TestAssignedIsAcknowledged(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		h := &heard{fail: sdk.Errorf(sdk.CodeUnavailable, "the disk is full")}
		_, err := c.Create(t.Context(), create("a"), h)
		if sdk.CodeOf(err) != sdk.CodeConflict || err.Error() != "stopped: the disk is full" {
			t.Errorf("%v", err)
		}
	})
}

func TestErrorsKeepTheirCodes(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		_, err := c.Read(t.Context(), &sdk.ReadRequest{Type: "fake.thing", Name: "gone"})
		var e *sdk.Error
		if !sdk.IsNotFound(err) || !errors.As(err, &e) || e.Hint != "make it" || e.Error() != `look: no "gone" here` || errors.Is(err, ErrPlugin) {
			t.Errorf("%#v", err)
		}
	})
}

func TestRefusedRequests(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		ctx := t.Context()
		for name, call := range map[string]func() error{
			"Create: the request is nil": func() error { _, err := c.Create(ctx, nil, nil); return err },
			"Read: the request is nil":   func() error { _, err := c.Read(ctx, nil); return err },
			"Diff: type is missing":      func() error { _, err := c.Diff(ctx, &sdk.DiffRequest{Name: "x"}); return err },
			"Create: name is missing":    func() error { _, err := c.Create(ctx, &sdk.CreateRequest{Type: "x"}, nil); return err },
			`Update: the action at a "explode" is not one`: func() error {
				_, err := c.Update(ctx, &sdk.UpdateRequest{Type: "x", Changes: []sdk.FieldChange{{Path: "/a", Action: "explode"}}}, nil)
				return err
			},
			"Diff: prior.outputs.outputs[0].name is missing": func() error {
				_, err := c.Diff(ctx, &sdk.DiffRequest{Type: "x", Prior: &sdk.Prior{Outputs: sdk.Outputs{"": sdk.Out(1)}}})
				return err
			},
			"Validate: the request has": func() error {
				_, err := c.Validate(ctx, &sdk.ValidateRequest{Type: "x", Config: sdk.Config{JSON: make([]byte, MaxMessage)}})
				return err
			},
		} {
			if err := call(); sdk.CodeOf(err) != sdk.CodeInvalid || !strings.HasPrefix(err.Error(), name) {
				t.Errorf("%q: %s %v", name, sdk.CodeOf(err), err)
			}
		}
	})
}

func TestMistakesOfThePlugin(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		ctx := t.Context()
		for want, call := range map[string]func() error{
			"the plugin gave neither an answer nor an error to Validate": func() error { _, err := c.Validate(ctx, &sdk.ValidateRequest{Type: "x"}); return err },
			`the plugin's answer to Diff: the action at x "explode"`:     func() error { _, err := c.Diff(ctx, &sdk.DiffRequest{Type: "x", Name: "bad"}); return err },
			"the plugin's answer to Read has":                            func() error { _, err := c.Read(ctx, &sdk.ReadRequest{Type: "x", Name: "huge"}); return err },
			"the plugin panicked in Create: at the disco":                func() error { _, err := c.Create(ctx, create("panic"), nil); return err },
			"the plugin panicked in Read: assignment to entry in nil":    func() error { _, err := c.Read(ctx, &sdk.ReadRequest{Type: "x", Name: "panic"}); return err },
		} {
			if err := call(); sdk.CodeOf(err) != sdk.CodeInternal || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%q: %s %v", want, sdk.CodeOf(err), err)
			}
		}
		if _, err := c.Read(ctx, &sdk.ReadRequest{Type: "x", Name: "a"}); err != nil {
			t.Errorf("after its mistakes: %v", err)
		}
	})
}

func TestWhatAProviderLacks(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		if _, ok := sdk.As[sdk.Lister](c); ok {
			t.Error("it has no List")
		}
		if _, ok := sdk.As[sdk.LogReader](c); !ok {
			t.Error("it has Logs")
		}
		for name, err := range map[string]error{
			"List":           second(c.List(t.Context(), &sdk.ListRequest{Type: "x"})),
			"Import":         second(c.Import(t.Context(), &sdk.ImportRequest{Type: "x"})),
			"Health":         second(c.Health(t.Context(), &sdk.HealthRequest{Type: "x"})),
			"Sizes":          second(c.Sizes(t.Context(), &sdk.SizesRequest{Type: "x"})),
			"EnsureRegistry": second(c.EnsureRegistry(t.Context(), &sdk.EnsureRegistryRequest{}, nil)),
			"Diagnose":       second(c.Diagnose(t.Context(), &sdk.DiagnoseRequest{Type: "x"})),
			"BootstrapState": second(c.BootstrapState(t.Context(), &sdk.BootstrapStateRequest{}, nil)),
			"WriteSecret":    second(c.WriteSecret(t.Context(), &sdk.WriteSecretRequest{})),
			"Credential":     second(c.RegistryCredential(t.Context(), &sdk.RegistryCredentialRequest{})),
		} {
			if sdk.CodeOf(err) != sdk.CodeUnsupported {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestLogs(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		var got []string
		err := c.Logs(t.Context(), &sdk.LogsRequest{Type: "x", Name: "web"}, func(l sdk.LogLine) error {
			got = append(got, l.Source+l.Text)
			return nil
		})
		if err != nil || strings.Join(got, " ") != "web0 web1 web2" {
			t.Errorf("%v %v", got, err)
		}
		stop := errors.New("enough")
		if err := c.Logs(t.Context(), &sdk.LogsRequest{Type: "x", Follow: true}, func(sdk.LogLine) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err = c.Logs(ctx, &sdk.LogsRequest{Type: "x", Follow: true}, func(sdk.LogLine) error {
			if n++; n == 3 {
				cancel()
			}
			return nil
		})
		if sdk.CodeOf(err) != sdk.CodeCancelled {
			t.Errorf("%v", err)
		}
	})
}

// cancelWhen cancels at the first event that begins with a text.
func cancelWhen(t *testing.T, prefix string) (context.Context, *heard) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, &heard{on: func(line string) {
		if strings.HasPrefix(line, prefix) {
			cancel()
		}
	}}
}

func TestCancellationReachesThePlugin(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		ctx, h := cancelWhen(t, "assigned")
		began := time.Now()
		r, err := c.Create(ctx, create("wait"), h)
		if err != nil || r.ID != "late" || !strings.HasSuffix(h.all(), "log stopping") {
			t.Errorf("what came of the call is lost: %v %v\n%s", r, err, h.all())
		}
		ctx, h = cancelWhen(t, "assigned")
		if _, err := c.Create(ctx, create("fail when cancelled"), h); sdk.CodeOf(err) != sdk.CodeCancelled || errors.Is(err, ErrPlugin) {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := c.Read(ctx, &sdk.ReadRequest{Type: "x", Name: "wait"}); sdk.CodeOf(err) != sdk.CodeCancelled {
			t.Errorf("%v", err)
		}
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("it took %s", d)
		}
		if _, err := c.Create(ctx, create("a"), nil); sdk.CodeOf(err) != sdk.CodeCancelled {
			t.Errorf("a cancelled call was made: %v", err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		req := create("fail when cancelled")
		req.Deadline = time.Now().Add(20 * time.Millisecond)
		if _, err := c.Create(t.Context(), req, nil); sdk.CodeOf(err) != sdk.CodeDeadline {
			t.Errorf("the request's: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := c.Read(ctx, &sdk.ReadRequest{Type: "x", Name: "wait"}); sdk.CodeOf(err) != sdk.CodeDeadline {
			t.Errorf("the context's: %v", err)
		}
	})
}

func TestStuckPlugin(t *testing.T) {
	var stuck string
	c, err := Dial(t.Context(), DialOptions{Command: command(), Grace: 100 * time.Millisecond, Stuck: func(m string) { stuck = m }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, h := cancelWhen(t, "assigned")
	_, err = c.Create(ctx, create("hang"), h)
	if !errors.Is(err, ErrPlugin) || sdk.CodeOf(err) != sdk.CodeCancelled || stuck != "Create" {
		t.Errorf("%q %v", stuck, err)
	}
	// Even so it ends when it is asked to: the call does not hold the process.
	if err := c.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestConfigurationOf8MiB(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		big := sdk.Config{JSON: []byte(`{"a":"` + strings.Repeat("x", 8<<20) + `"}`)}
		d, err := c.Diff(t.Context(), &sdk.DiffRequest{Type: "x", Config: big, Prior: &sdk.Prior{Config: big}})
		if err != nil || d.Outputs["size"].String() != fmt.Sprint(len(big.JSON)) {
			t.Fatalf("%v %v", d, err)
		}
		r, err := c.Read(t.Context(), &sdk.ReadRequest{Type: "x", Name: "a", Config: big})
		if err != nil || len(r.Config.JSON) != len(big.JSON) {
			t.Error(err)
		}
	})
}

func TestNoiseOnStandardOutput(t *testing.T) {
	out := &output{}
	c, err := Dial(t.Context(), DialOptions{Command: command("FAKE_START=noise"), Stderr: out})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(t.Context(), &sdk.ReadRequest{Type: "x", Name: "a"}); err != nil {
		t.Error(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"a greeting\n", "xxxx", "noise on standard output\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the log", want)
		}
	}
}

func TestPluginThatDies(t *testing.T) {
	out := &output{}
	c, err := Dial(t.Context(), DialOptions{Command: command(), Stderr: out})
	if err != nil {
		t.Fatal(err)
	}
	h := &heard{}
	_, err = c.Create(t.Context(), create("die"), h)
	if !errors.Is(err, ErrPlugin) || sdk.CodeOf(err) != sdk.CodeInternal || !strings.Contains(err.Error(), "Create: the plugin ended meanwhile (exit status 7)") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(h.all(), "assigned id-die") || !strings.Contains(out.String(), "last words") {
		t.Errorf("heard %s, printed %s", h.all(), out)
	}
	<-c.Ended()
	if _, err := c.Read(t.Context(), &sdk.ReadRequest{Type: "x"}); !errors.Is(err, ErrPlugin) {
		t.Errorf("%v", err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPanicInAGoroutine(t *testing.T) {
	out := &output{}
	c, err := Dial(t.Context(), DialOptions{Command: command(), Stderr: out})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Create(t.Context(), create("panic elsewhere"), nil)
	if !errors.Is(err, ErrPlugin) || !strings.Contains(err.Error(), "exit status 2") {
		t.Errorf("%v", err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "panic: in a goroutine") || !strings.Contains(out.String(), "fake_test.go") {
		t.Errorf("the stack is not in the log: %s", out)
	}
}

func TestReportAfterTheCall(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		h := &heard{}
		if _, err := c.Create(t.Context(), create("late report"), h); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(t.Context(), &sdk.ReadRequest{Type: "x", Name: "a"}); err != nil {
			t.Error(err)
		}
		if strings.Contains(h.all(), "too late") {
			t.Error("a report came after the call")
		}
	})
}

func TestPluginThatDoesNotStart(t *testing.T) {
	none := command()
	none.Path, none.Err = "/nonexistent/plugin", nil
	for name, c := range map[string]struct {
		o    DialOptions
		want string
	}{
		"no file":  {DialOptions{Command: none}, "the plugin cannot be started"},
		"exits":    {DialOptions{Command: command("FAKE_START=exit")}, "the plugin ended before it said hello (exit status 3)"},
		"silent":   {DialOptions{Command: command("FAKE_START=silent"), StartTimeout: 200 * time.Millisecond}, "the plugin did not say hello within 200ms"},
		"no wfctl": {DialOptions{Command: noPlugin()}, "the plugin ended before it said hello"},
	} {
		t.Run(name, func(t *testing.T) {
			out, dir := &output{}, t.TempDir()
			c.o.Stderr, c.o.SocketDir = out, dir
			_, err := Dial(t.Context(), c.o)
			if !errors.Is(err, ErrPlugin) || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v (printed %s)", err, out)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Dial(ctx, DialOptions{Command: command("FAKE_START=silent")}); sdk.CodeOf(err) != sdk.CodeCancelled {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSocketIsPrivateAndRemoved(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // there is none
	}
	dir := t.TempDir()
	c, err := Dial(t.Context(), DialOptions{Command: command(), SocketDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestMutualTLS(t *testing.T) {
	c, err := Dial(t.Context(), DialOptions{Command: command(), TLS: true})
	use(t, c, err, func(t *testing.T, c *Conn) {
		if _, err := c.Create(t.Context(), create("a"), nil); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseTwiceAndClosesTheProvider(t *testing.T) {
	f := &fake{}
	c, err := Loop(t.Context(), f, LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Close(t.Context()), c.Close(t.Context())); err != nil || !f.closed {
		t.Error(err, f.closed)
	}
}
