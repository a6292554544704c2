//go:build services

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/internal/backends"
)

// TestTortureEverywhere is the torture in short on every backend, and on those
// with a network once more with a bad one.
func TestTortureEverywhere(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "wfctl")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/gocodealone/wfctl/cmd/wfctl")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	faults := map[string]int{"postgres": 40, "s3": 12, "gcs": 12, "azure": 12}
	for _, name := range backends.Names() {
		o := options{wfctl: binary, rounds: 2, kills: 3, modules: 30, seed: uint64(time.Now().UnixNano()), backend: name}
		t.Run(name, func(t *testing.T) { torture(t, o) })
		if o.faults = faults[name]; o.faults > 0 {
			t.Run(name+" behind a bad network", func(t *testing.T) { torture(t, o) })
		}
	}
}

func torture(t *testing.T, o options) {
	variable := "WFCTL_TEST_" + map[string]string{"postgres": "POSTGRES", "s3": "S3", "gcs": "GCS", "azure": "AZURE"}[o.backend]
	if variable != "WFCTL_TEST_" && os.Getenv(variable) == "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not set", variable)
		}
		t.Skipf("%s is not set: make services", variable)
	}
	if err := run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}
