package command_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/procgroup"
	"github.com/gocodealone/wfctl/step"
	"github.com/gocodealone/wfctl/step/command"
)

// TestMain lets the test binary be the program that it runs.
func TestMain(m *testing.M) {
	switch os.Getenv("PROGRAM") {
	case "":
		goleak.VerifyTestMain(m)
	case "echo":
		_, _ = os.Stdout.WriteString(os.Getenv("TEXT") + "\n")
		_, _ = os.Stderr.WriteString("to the side\n")
	case "json":
		_, _ = os.Stdout.WriteString(`{"a": 1, "token": "` + os.Getenv("TOKEN") + `"}`)
	case "fail":
		_, _ = os.Stderr.WriteString("it is broken\n")
		os.Exit(3)
	case "env":
		_, _ = os.Stdout.WriteString(strings.Join(os.Environ(), "\n"))
	case "hang":
		<-make(chan struct{})
	case "worker":
		worker()
	}
}

// worker runs two steps at once, which print the numbers of two processes
// each, and waits to be killed.
func worker() {
	s, err := command.Kind().Prepare(json.RawMessage(`{"run": "sleep 300 & echo $$ $!; wait", "shell": "sh"}`))
	if err != nil {
		panic(err)
	}
	for range 2 {
		go func() {
			_, err := s.Run(context.Background(), &step.Context{Name: "c", Self: event.SinkFunc(func(e event.Event) {
				_ = procgroup.Run(context.Background(), exec.Command("true"), time.Second) // then the watchdog knows of the first
				fmt.Println(e.(event.NodeLog).Line)
			})})
			panic(err)
		}()
	}
	select {}
}

type options map[string]any

func run(t *testing.T, ctx context.Context, o options, secrets ...string) (step.Result, []string, error) {
	t.Helper()
	if o["run"] == nil {
		o["run"] = []string{os.Args[0]}
	}
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := command.Kind().Prepare(raw)
	if err != nil {
		return step.Result{}, nil, err
	}
	var mu sync.Mutex
	var lines []string
	res, err := s.Run(ctx, &step.Context{Name: "c", Dir: t.TempDir(), Secrets: secrets, Self: event.SinkFunc(func(e event.Event) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, e.(event.NodeLog).Line)
	})})
	return res, lines, err
}

func TestOutputIsRedacted(t *testing.T) {
	res, lines, err := run(t, t.Context(), options{"env": options{"PROGRAM": "echo", "TEXT": "the key is hunter2"}}, "hunter2")
	if err != nil || res.Outputs["stdout"] != "the key is ***MASKED***" || strings.Contains(strings.Join(lines, "\n"), "hunter2") {
		t.Error(res, lines, err)
	}
}

func TestSecretsReachItByTheEnvironmentAlone(t *testing.T) {
	_, _, err := run(t, t.Context(), options{"run": []string{os.Args[0], "hunter2"}}, "hunter2")
	if fault.CodeOf(err) != fault.Config || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	t.Setenv("UNRELATED_TOKEN", "leak")
	res, _, err := run(t, t.Context(), options{"env": options{"PROGRAM": "env", "N": 5}})
	out, _ := res.Outputs["stdout"].(string)
	if err != nil || strings.Contains(out, "UNRELATED_TOKEN") || !strings.Contains(out, "N=5") {
		t.Error(out, err)
	}
	res, _, err = run(t, t.Context(), options{"env": options{"PROGRAM": "env"}, "inherit": []string{"UNRELATED_TOKEN"}})
	if out, _ := res.Outputs["stdout"].(string); err != nil || !strings.Contains(out, "UNRELATED_TOKEN=leak") {
		t.Error(out, err)
	}
}

func TestJSONOutputs(t *testing.T) {
	res, _, err := run(t, t.Context(), options{"json": true, "env": options{"PROGRAM": "json", "TOKEN": "hunter2"}}, "hunter2")
	if err != nil || res.Outputs["a"] != 1.0 || len(res.Sensitive) != 1 || res.Sensitive[0] != "token" {
		t.Error(res, err)
	}
	if _, _, err = run(t, t.Context(), options{"json": true, "env": options{"PROGRAM": "echo"}}); err == nil {
		t.Error("text is taken for JSON")
	}
}

func TestFailure(t *testing.T) {
	_, _, err := run(t, t.Context(), options{"env": options{"PROGRAM": "fail"}})
	if err == nil || !strings.Contains(err.Error(), "status 3") || !step.Retryable(err) {
		t.Error(err)
	}
	res, _, err := run(t, t.Context(), options{"env": options{"PROGRAM": "fail"}, "exit_codes": []int{0, 3}})
	if err != nil || res.Outputs["exit_code"] != 3 {
		t.Error(res, err)
	}
	if _, _, err = run(t, t.Context(), options{"run": []string{filepath.Join("no", "such", "program")}}); err == nil || step.Retryable(err) {
		t.Error(err)
	}
}

// A folder that is not there is named, and not the program.
func TestNoFolder(t *testing.T) {
	_, _, err := run(t, t.Context(), options{"dir": "nowhere"})
	if err == nil || !strings.Contains(err.Error(), `no folder "nowhere"`) || step.Retryable(err) {
		t.Error(err)
	}
}

func TestNoShellUnlessAskedFor(t *testing.T) {
	for _, o := range []options{{"run": "echo hello"}, {"run": []string{"echo"}, "shell": "sh"}} {
		if _, _, err := run(t, t.Context(), o); fault.CodeOf(err) != fault.Config {
			t.Errorf("%v: %v", o, err)
		}
	}
}

func TestEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, _, err := run(t, ctx, options{"env": options{"PROGRAM": "hang"}})
	if err == nil || time.Since(began) > 4*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}
