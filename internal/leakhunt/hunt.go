package leakhunt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Files looks into every file below a folder, and at their names. A file that
// goes away meanwhile is passed over.
func (f *Finder) Files(dir string) ([]string, error) {
	var leaks []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range f.Find([]byte(path)) {
			leaks = append(leaks, name+" is in the name of "+path)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, name := range f.Find(raw) {
			leaks = append(leaks, name+" is in "+path)
		}
		return err
	})
	return leaks, err
}

// A Process is what everybody of the same user can see of one.
type Process struct {
	PID         int
	CommandLine []byte
	Environment []byte
}

// Processes lists what runs; nil where there is no /proc. The environments of
// other users' processes are empty.
func Processes() []Process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var list []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p := Process{PID: pid}
		p.CommandLine, _ = os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		p.Environment, _ = os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		list = append(list, p)
	}
	return list
}

// Processes looks at the command lines of all processes, and at the
// environments of those that may not hold what they hold: allowed tells which
// canaries a process may have in its own.
func (f *Finder) Processes(all []Process, allowed func(p Process, canary string) bool) []string {
	var leaks []string
	for _, p := range all {
		for _, name := range f.Find(p.CommandLine) {
			leaks = append(leaks, fmt.Sprintf("%s is on the command line of process %d: %.60q", name, p.PID, p.CommandLine))
		}
		for _, name := range f.Find(p.Environment) {
			if !allowed(p, name) {
				leaks = append(leaks, fmt.Sprintf("%s is in the environment of process %d: %.60q", name, p.PID, p.CommandLine))
			}
		}
	}
	return leaks
}
