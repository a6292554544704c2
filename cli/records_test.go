package cli_test

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// records runs the scripts of projects that record in one place: the file of
// the folder, or the database that url names.
func records(t *testing.T, url string) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/records", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("WFCTL_EVENTS", url)
			return isolate(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func TestRecordsOfSeveralProjects(t *testing.T) { records(t, "") }
