package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/eventtest"
	"github.com/gocodealone/wfctl/event/sqlite"
)

// opener makes drivers on files of one folder.
func opener(tb testing.TB) eventtest.Maker {
	dir := tb.TempDir()
	return func(tb testing.TB, name string) event.Driver {
		d, err := sqlite.Open(tb.Context(), filepath.Join(dir, "sub", strings.ReplaceAll(name, "/", "-")+".db"))
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}
}

func TestDriver(t *testing.T) { eventtest.Run(t, opener(t), eventtest.Options{Shared: true}) }

func BenchmarkEventStoreAppend_SQLite(b *testing.B) { eventtest.BenchAppend(b, opener(b)(b, "x")) }

func BenchmarkEventStoreAppend_SQLite_Parallel16(b *testing.B) {
	eventtest.BenchAppendParallel(b, opener(b)(b, "x"))
}

func BenchmarkGetTimeline_SQLite(b *testing.B) { eventtest.BenchTimeline(b, opener(b), false) }

func BenchmarkGetTimeline_SQLite_Cold(b *testing.B) { eventtest.BenchTimeline(b, opener(b), true) }
