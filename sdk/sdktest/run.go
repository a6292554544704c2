package sdktest

import (
	"strings"
	"testing"
)

// Run runs the suite as a test: a subtest for each check, and the report in
// the log.
func Run(t *testing.T, s Suite) {
	t.Helper()
	if s.Way == "" {
		s.Way = "in process"
	}
	t.Run(s.Name+" "+s.Way, func(t *testing.T) {
		if s.Configure.WorkDir == "" {
			s.Configure.WorkDir = t.TempDir()
		}
		if s.Configure.BaseDir == "" {
			s.Configure.BaseDir = t.TempDir()
		}
		report, err := Check(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := report.Write(&b); err != nil {
			t.Fatal(err)
		}
		t.Log("\n" + b.String())
		for _, res := range report.Failed() {
			t.Errorf("%s %s: %s", res.Check, res.Type, res.Detail)
		}
	})
}
