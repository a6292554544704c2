// Package clustered is the table of what ships in a binary that can also have
// its runs on Temporal: that client costs every command a start-up of its own.
package clustered

import (
	"github.com/gocodealone/wfctl/builtin"
	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/pipeline/temporal"
)

// Kinds returns the tables.
func Kinds() engine.Kinds {
	k := builtin.Kinds()
	k.Cluster = temporal.Open
	return k
}
