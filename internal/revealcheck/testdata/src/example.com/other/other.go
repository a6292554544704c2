// Package other has nothing to do with it.
package other

type thing struct{}

func (thing) Reveal() string { return "" }

var _ = thing{}.Reveal()
