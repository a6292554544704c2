//go:build services

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/internal/things"
)

// TestMain is also the thing that the modules' commands run.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "thing" {
		os.Exit(things.Run(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// TestTorture is the torture in short: `make torture-cluster` has 200 runs.
func TestTorture(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "wfctl-temporal")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/gocodealone/wfctl/cmd/wfctl-temporal")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The choices differ from run to run; a failure names its seed.
	o := options{
		wfctl: binary, runs: 12, environments: 4, workers: 3, modules: 4, heartbeat: 4 * time.Second, pause: 1500 * time.Millisecond,
		seed: uint64(time.Now().UnixNano()),
	}
	if err := torture(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}
