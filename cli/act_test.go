//go:build services

package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestWorkflowsRun runs the generated workflows for real, by act.
func TestWorkflowsRun(t *testing.T) {
	act := os.Getenv("WFCTL_TEST_ACT")
	if act == "" && os.Getenv("CI") != "" {
		t.Fatal("WFCTL_TEST_ACT is not set")
	}
	if act == "" {
		t.Skip("WFCTL_TEST_ACT is not set")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/act",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			if err := isolate(env); err != nil {
				return err
			}
			bin, _, _ := strings.Cut(env.Getenv("PATH"), string(os.PathListSeparator)) // where testscript puts this binary
			env.Setenv("BIN", bin)
			env.Setenv("ACT", act)
			env.Setenv("PATH", env.Getenv("PATH")+string(os.PathListSeparator)+filepath.Dir(act))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"expand": expand},
	})
}

// expand replaces $VARIABLES in files: expand FILE...
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, name := range args {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(os.Expand(ts.ReadFile(name), variable(ts))), 0o600))
	}
}

// variable is $$ for a dollar, else the script's variable.
func variable(ts *testscript.TestScript) func(string) string {
	return func(name string) string {
		if name == "$" {
			return name
		}
		return ts.Getenv(name)
	}
}
