package memory_test

import (
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/memory"
	"github.com/gocodealone/wfctl/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDriver(t *testing.T) {
	statetest.Run(t, func(testing.TB) statetest.Opener {
		var mu sync.Mutex
		stores := map[string]*memory.Store{}
		return func(env string) (state.Driver, error) {
			mu.Lock()
			defer mu.Unlock()
			if stores[env] == nil {
				stores[env] = memory.New()
			}
			return stores[env].Driver(), nil
		}
	})
}
