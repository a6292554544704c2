//go:build services

package cli_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gocodealone/wfctl/internal/sigstoretest"
)

// TestSignsKeyless runs the binary against a real Fulcio and a real timestamp
// authority.
func TestSignsKeyless(t *testing.T) {
	sigstore := sigstoretest.Start(t)
	registries := &scriptRegistries{t: t, running: map[string]*scriptRegistry{}}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/sigstore", RequireExplicitExec: true, Setup: isolate,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "registrystart": registries.start,
			"sigstorestart": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(os.WriteFile(ts.MkAbs("root.json"), sigstore.TrustedRoot, 0o600))
				ts.Setenv("FULCIO", sigstore.Fulcio)
				ts.Setenv("TSA", sigstore.Timestamp)
				ts.Setenv("ISSUER", sigstore.Issuer.URL)
				ts.Setenv("IDENTITY", sigstoretest.Identity(sigstoretest.Workflow))
				for name, value := range sigstore.Issuer.Job() {
					ts.Setenv(name, value)
				}
			},
		},
	})
}
