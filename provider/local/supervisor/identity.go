package supervisor

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Identity names a process so that its number, given to another one later, is
// not mistaken for it.
type Identity struct {
	PID int `json:"pid"`
	// Start is when it started, in whatever the system counts in; Boot is
	// which boot of the machine that was.
	Start string `json:"start"`
	Boot  string `json:"boot"`
	// Group says that it leads a process group; Pipe is the inode of the
	// pipe that the group writes to, which proves a member whose leader is
	// gone.
	Group bool   `json:"group,omitempty"`
	Pipe  uint64 `json:"pipe,omitempty"`
}

// Identify returns the identity of a running process.
func Identify(pid int) (Identity, error) {
	start, err := startTime(pid)
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, Start: start, Boot: bootID()}, nil
}

// Alive tells whether that very process still runs. A zombie does not.
func (id Identity) Alive() bool {
	if id.PID <= 0 || id.Boot != bootID() {
		return false
	}
	start, err := startTime(id.PID)
	return err == nil && start == id.Start
}

// roster is the list of a supervisor's processes on disk. It is not synced: a
// reboot makes it void anyway.
type roster struct {
	path string
	mu   sync.Mutex
	all  map[int]Identity
}

func newRoster(dir string) *roster {
	return &roster{path: filepath.Join(dir, "processes.json"), all: map[int]Identity{}}
}

func (r *roster) add(id Identity) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[id.PID] = id
	return r.write()
}

func (r *roster) drop(id Identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[id.PID] != id {
		return
	}
	delete(r.all, id.PID)
	_ = r.write() // an entry too many is void: its process is gone
}

func (r *roster) write() error {
	list := make([]Identity, 0, len(r.all))
	for _, id := range r.all {
		list = append(list, id)
	}
	return writeJSON(r.path, list)
}

func readRoster(dir string) ([]Identity, error) {
	var list []Identity
	err := readJSON(filepath.Join(dir, "processes.json"), &list)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// writeJSON replaces a file in one step.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
