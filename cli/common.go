package cli

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/gocodealone/wfctl/kind"
)

// nearest is the did-you-mean of commands and flags.
func nearest(name string, known []string) string { return kind.Nearest(name, known) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// inDir resolves a path of the command line against --dir.
func (a *App) inDir(path string) string {
	if a.flags.dir == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(a.flags.dir, path)
}
