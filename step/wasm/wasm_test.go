package wasm_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/step"
	"github.com/gocodealone/wfctl/step/wasm"
)

const program = `package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	var in map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	fmt.Fprintln(os.Stderr, "at work")
	switch in["do"] {
	case "loop":
		for {
		}
	case "eat":
		var kept [][]byte
		for {
			kept = append(kept, make([]byte, 1<<20))
			kept[len(kept)-1][5] = 1
		}
	case "panic":
		panic("oh no")
	case "look":
		_, err := os.ReadFile("/etc/passwd")
		in["seen"] = err == nil
		in["env"] = len(os.Environ())
	}
	_ = json.NewEncoder(os.Stdout).Encode(in)
}
`

// build compiles the program once.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", "m.wasm", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func TestModule(t *testing.T) {
	dir := build(t)
	run := func(do string) (map[string]any, error) {
		o, _ := json.Marshal(map[string]any{"file": "m.wasm", "input": map[string]any{"do": do}, "limits": map[string]any{"time": map[bool]string{true: "2s", false: "10m"}[do == "loop"], "memory": 64}})
		s, err := wasm.Kind(dir).Prepare(o)
		if err != nil {
			return nil, err
		}
		res, err := s.Run(t.Context(), &step.Context{Self: event.Discard})
		return res.Outputs, err
	}
	if out, err := run("look"); err != nil || out["seen"] != false || out["env"] != 0.0 {
		t.Errorf("it sees the machine: %v, %v", out, err)
	}
	for do, want := range map[string]string{"loop": "longer than its limit of 2s", "eat": "more memory than its limit of 64 MiB", "panic": "status 2"} {
		if _, err := run(do); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", do, err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "m.wasm"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run("look"); err == nil || !strings.Contains(err.Error(), "no WebAssembly") {
		t.Error(err)
	}
}
