package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/internal/things"
)

// TestMain is also the thing that the tortured commands run: the program
// names itself as the command of its modules.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "thing" {
		os.Exit(things.Run(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// TestTorture is the torture in short: `make torture` runs 100 rounds.
func TestTorture(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "wfctl")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/gocodealone/wfctl/cmd/wfctl")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The choices differ from run to run; a failure names its seed.
	o := options{wfctl: binary, rounds: 3, kills: 3, modules: 30, seed: uint64(time.Now().UnixNano()), folders: true, backend: "sqlite"}
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}
