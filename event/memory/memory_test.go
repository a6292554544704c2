package memory_test

import (
	"testing"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/eventtest"
	"github.com/gocodealone/wfctl/event/memory"
)

func open(testing.TB, string) event.Driver { return memory.New() }

func TestDriver(t *testing.T) { eventtest.Run(t, open, eventtest.Options{}) }

func BenchmarkEventStoreAppend_InMemory(b *testing.B) { eventtest.BenchAppend(b, memory.New()) }

func BenchmarkGetTimeline_InMemory(b *testing.B) { eventtest.BenchTimeline(b, open, false) }
