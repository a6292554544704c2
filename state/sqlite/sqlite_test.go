package sqlite_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/sqlite"
	"github.com/gocodealone/wfctl/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDriver(t *testing.T) {
	statetest.Run(t, func(t testing.TB) statetest.Opener {
		path := filepath.Join(t.TempDir(), "new folder", "state.db")
		return func(env string) (state.Driver, error) { return sqlite.Open(t.Context(), path, env) }
	})
}
