package file_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/blob/file"
	"github.com/gocodealone/wfctl/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDriver(t *testing.T) {
	statetest.Run(t, func(t testing.TB) statetest.Opener {
		o := file.Options{Path: filepath.Join(t.TempDir(), "state")}
		return func(env string) (state.Driver, error) { return file.Open(t.Context(), o, env) }
	})
}
