// Package startup holds the garbage collector back while packages initialise.
// They make nearly 4 MB, just enough for a collection, and nearly all of it is kept:
// to mark it would take a tenth of the time that a short command has. The
// first collection comes at 8 MB instead, and after it all is as usual.
//
// It must import little: packages initialise in the order of their paths once
// what they import is ready, so this one comes before those that make the most.
package startup

import (
	"os"
	"runtime"
	"runtime/debug"
)

func init() {
	if os.Getenv("GOGC") != "" {
		return // whoever started it has said what to do
	}
	before := debug.SetGCPercent(200)
	sentinel := new([64]byte) // large enough for a block of its own
	runtime.AddCleanup(sentinel, func(percent int) { debug.SetGCPercent(percent) }, before)
}
