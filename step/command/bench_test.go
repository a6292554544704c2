package command_test

import (
	"encoding/json"
	"testing"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/step"
	"github.com/gocodealone/wfctl/step/command"
)

// BenchmarkStep is what a step costs whose program does nothing.
func BenchmarkStep(b *testing.B) {
	s, err := command.Kind().Prepare(json.RawMessage(`{"run": ["true"]}`))
	if err != nil {
		b.Fatal(err)
	}
	c := &step.Context{Name: "c", Dir: b.TempDir(), Self: event.SinkFunc(func(event.Event) {})}
	for b.Loop() {
		if _, err := s.Run(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
