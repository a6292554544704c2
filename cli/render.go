package cli

import (
	"io"

	"golang.org/x/term"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/ui"
)

// renderer shows a run: JSON events on standard output, a live view on a
// terminal, else lines on standard error.
func (a *App) renderer() ui.Renderer {
	if a.flags.json {
		return ui.JSON(a.Stdout)
	}
	if f, ok := terminal(a.Stderr); ok {
		return ui.Live(a.Stderr, a.style(), a.flags.verbose, func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 80
			}
			return width
		})
	}
	return ui.Lines(a.Stderr, a.style(), a.flags.verbose)
}

// notices shows the warnings of a command that runs nothing.
func (a *App) notices() event.Sink {
	lines := ui.Lines(a.Stderr, a.style(), a.flags.verbose)
	return event.SinkFunc(func(e event.Event) {
		if _, ok := e.(event.Notice); ok {
			lines.Emit(e)
		}
	})
}

func isTerminal(w io.Writer) bool { _, ok := terminal(w); return ok }

// outputValues are the engine's outputs as ui prints them.
func outputValues(outputs []engine.Output) []ui.Output {
	list := make([]ui.Output, len(outputs))
	for i, o := range outputs {
		list[i] = ui.Output{Module: o.Module, Field: o.Field, Value: o.Value, Sensitive: o.Sensitive}
	}
	return list
}
