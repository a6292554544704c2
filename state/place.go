package state

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/fault"
)

// place is what this machine remembers of a state, by where it is.
type place struct {
	Lineage string `json:"lineage"`
	// Seq is the last number seen; 0 for a lineage that has not begun.
	Seq uint64 `json:"seq"`
	// Live: there were resources, or a run was under way.
	Live bool `json:"live"`
}

func placePath(dir, id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(dir, hex.EncodeToString(sum[:12])+".place")
}

func loadPlace(o Options) (place, error) {
	var p place
	if o.KeyDir == "" {
		return p, nil
	}
	path := placePath(o.KeyDir, o.ID)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	if err != nil {
		return p, fault.Wrap(fault.State, err, "read what this machine remembers of the state (%s)", path).
			WithHint("see that the state itself is whole, then remove that file")
	}
	return p, nil
}

// check compares what is there with what was seen.
func (p *place) check(o Options, t *table) error {
	switch {
	case p.Live && t.seq == 0:
		return fault.New(fault.State, "the state is gone: %s is empty, and this machine has seen %d entries there (lineage %s)", o.Location, p.Seq, p.Lineage).
			WithHint("what it recorded still exists: bring the state back from a copy, or remove it all with `%s`. "+
				"If the state is lost for good: `%s`; the next apply then takes over what carries this project's tags, and the rest wants `wfctl infra import`",
				o.command("infra teardown"), o.command("infra state reset"))
	case p.Lineage == t.lineage && t.seq < p.Seq:
		return fault.New(fault.State, "the state is an older copy: it ends at entry %d, and this machine has seen entry %d", t.seq, p.Seq).
			WithHint("what was recorded since still exists; bring the newest copy back. Only if the older one is wanted: `%s`", o.command("infra state reset"))
	}
	return nil
}

// prepare notes the lineage that a new log will have.
func (p *place) prepare(o Options) error {
	if p.Lineage != "" && p.Seq == 0 {
		return nil
	}
	p.Lineage, p.Seq, p.Live = newID(), 0, false
	return p.store(o)
}

func (p *place) store(o Options) error {
	if o.KeyDir == "" {
		return nil
	}
	raw, err := json.Marshal(p)
	if err == nil {
		err = os.MkdirAll(o.KeyDir, 0o700)
	}
	if err == nil {
		err = atomicfile.Write(placePath(o.KeyDir, o.ID), raw, 0o600)
	}
	if err != nil {
		return fault.Wrap(fault.Environment, err, "note on this machine that the state exists").
			WithHint("set WFCTL_STATE_KEY_DIR to a folder that can be written, outside the project")
	}
	return nil
}

// remember notes how far the log has come.
func (l *Log) remember(live bool) error {
	l.mu.Lock()
	l.place = place{l.table.lineage, l.table.seq, live}
	p := l.place
	l.mu.Unlock()
	return p.store(l.o)
}

// live tells whether there is anything to lose.
func (t *table) live() bool { return len(t.records)+len(t.pending) > 0 || t.lease != nil }

// Reset accepts that the state that was at a place is lost, or older than it
// was: this machine forgets that it has seen it.
func Reset(keyDir, id string) error {
	err := os.Remove(placePath(keyDir, id))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Environment, err, "forget the state that was")
	}
	return nil
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	return hex.EncodeToString(b[:])
}
