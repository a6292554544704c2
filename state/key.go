package state

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/fault"
)

// KeyDir is the user's own folder for fingerprint keys and lineage marks:
// $WFCTL_STATE_KEY_DIR, else wfctl/keys in $XDG_STATE_HOME or ~/.local/state.
func KeyDir(getenv func(string) (string, bool)) (string, error) {
	if dir, ok := getenv("WFCTL_STATE_KEY_DIR"); ok && dir != "" {
		return dir, nil
	}
	if dir, ok := getenv("XDG_STATE_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "wfctl", "keys"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fault.Wrap(fault.Environment, err, "find a folder for the fingerprint key").WithHint("set HOME or WFCTL_STATE_KEY_DIR")
	}
	return filepath.Join(home, ".local", "state", "wfctl", "keys"), nil
}

// Fingerprint stands for a sensitive value where that must not be: an
// HMAC-SHA-256 under a key that is not beside the state.
func (l *Log) Fingerprint(value []byte) string {
	mac := hmac.New(sha256.New, l.key)
	_, _ = mac.Write(value)
	return "h1:" + base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// loadKey reads the key of a lineage, else of a place, and makes one where
// there is none.
func loadKey(dir, lineage, place string) ([]byte, error) {
	if dir == "" {
		key := make([]byte, 32)
		_, err := rand.Read(key)
		return key, err
	}
	byPlace := filepath.Join(dir, nameOf(place)+".key")
	paths := []string{byPlace}
	if lineage != "" {
		paths = []string{filepath.Join(dir, lineage+".key"), byPlace}
	}
	for _, path := range paths {
		key, err := readKey(path)
		if err == nil {
			return key, keepKey(paths, key)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, by its documentation
	return key, keepKey(paths, key)
}

func readKey(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the fingerprint key")
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(key) != 32 {
		return nil, fault.New(fault.State, "the fingerprint key %s is damaged", path).
			WithHint("remove the file: the next apply then updates what has sensitive inputs")
	}
	return key, nil
}

// keepKey stores the key under every name it is looked up by.
func keepKey(paths []string, key []byte) error {
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fault.Wrap(fault.Environment, err, "make the folder of the fingerprint key")
		}
		if err := atomicfile.Write(path, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
			return fault.Wrap(fault.Environment, err, "keep the fingerprint key")
		}
	}
	return nil
}

// lineageMark remembers, away from the state, that there was one.
type lineageMark struct {
	Lineage   string `json:"lineage"`
	Resources int    `json:"resources"`
	Place     string `json:"place"`
}

func (l *Log) markPath() string { return filepath.Join(l.o.KeyDir, nameOf(l.o.ID)+".lineage") }

// mark remembers the lineage while there is something to lose, and forgets
// it when there is not. The caller may hold l.mu.
func (l *Log) mark() error {
	if l.o.KeyDir == "" {
		return nil
	}
	n := len(l.model.records) + len(l.model.pending)
	if l.model.lease == nil && n == 0 {
		return l.unmark()
	}
	raw, err := json.Marshal(lineageMark{l.model.lineage, n, l.o.ID})
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(l.markPath()); err == nil && string(old) == string(raw) {
		return nil
	}
	if err := os.MkdirAll(l.o.KeyDir, 0o700); err != nil {
		return fault.Wrap(fault.Environment, err, "make the folder of the lineage mark")
	}
	if err := atomicfile.Write(l.markPath(), raw, 0o600); err != nil {
		return fault.Wrap(fault.Environment, err, "keep the lineage mark")
	}
	return nil
}

func (l *Log) unmark() error {
	if l.o.KeyDir == "" {
		return nil
	}
	if err := os.Remove(l.markPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.Wrap(fault.Environment, err, "remove the lineage mark")
	}
	return nil
}

// checkMark refuses a state that is empty, or another, where one was before.
func (l *Log) checkMark() error {
	if l.o.KeyDir == "" {
		return nil
	}
	raw, err := os.ReadFile(l.markPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var m lineageMark
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		return fault.Wrap(fault.Environment, err, "read the lineage mark %s", l.markPath())
	}
	if l.model.lineage == m.Lineage || l.model.lineage != "" && len(l.model.records) > 0 {
		return nil // the same, or somebody else's newer one with content
	}
	return fault.New(fault.State, "the state of %s is gone: it is empty, and %d resources were recorded in it", m.Place, m.Resources).
		WithHint("restore it from a backup. If it was removed on purpose and nothing runs any more: `wfctl infra state reset`")
}

// Reset accepts that an earlier state at this place is lost.
func Reset(dir, place string) error {
	l := &Log{o: Options{KeyDir: dir, ID: place}}
	return l.unmark()
}

// nameOf is a file name for a place.
func nameOf(place string) string {
	sum := sha256.Sum256([]byte(place))
	return hex.EncodeToString(sum[:12])
}
