// Package world makes the fake of DigitalOcean real on this machine: a cluster
// of PostgreSQL is a PostgreSQL server of its own, an app's components are
// processes that run the images of the account's registry behind one address.
// All of it listens on loopback, lives in one folder and ends with the World.
//
// It does not do what nothing here could check: other engines, static sites
// that are built from source, TLS in front of apps, images of other registries.
package world

import (
	"errors"
	"os"
	"sync"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

// World implements fakedo.World. Make one with New.
type World struct {
	dir      string
	postgres postgres

	mu        sync.Mutex
	databases map[string]*cluster
	apps      map[string]*app
}

var _ fakedo.World = (*World)(nil)

// New is a world in a folder that is there and empty. PostgreSQL is looked
// for where Debian, Homebrew and pg_config have it.
func New(dir string) (*World, error) {
	p, err := findPostgres()
	if err != nil {
		return nil, err
	}
	// The servers run as another user where this is root.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // others may pass, not look
		return nil, err
	}
	return &World{dir: dir, postgres: p, databases: map[string]*cluster{}, apps: map[string]*app{}}, nil
}

// Close ends everything.
func (w *World) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for id := range w.apps {
		errs = append(errs, w.apps[id].close())
		delete(w.apps, id)
	}
	for id := range w.databases {
		w.databases[id].stop()
		delete(w.databases, id)
	}
	return errors.Join(errs...)
}
