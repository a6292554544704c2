package state

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/fault"
)

// keySize is that of a fingerprint key, in bytes.
const keySize = 32

// KeyDir is where keys are kept: $WFCTL_STATE_KEY_DIR, else wfctl/keys in the
// user's folder for state ($XDG_STATE_HOME).
func KeyDir(getenv func(string) (string, bool)) (string, error) {
	if dir, ok := getenv("WFCTL_STATE_KEY_DIR"); ok && dir != "" {
		return dir, nil
	}
	if dir, ok := getenv("XDG_STATE_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "wfctl", "keys"), nil
	}
	if dir, ok := getenv("LOCALAPPDATA"); ok && runtime.GOOS == "windows" && filepath.IsAbs(dir) {
		return filepath.Join(dir, "wfctl", "keys"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fault.Wrap(fault.Environment, err, "find a folder for the fingerprint key").WithHint("set HOME or WFCTL_STATE_KEY_DIR")
	}
	return filepath.Join(home, ".local", "state", "wfctl", "keys"), nil
}

func keyPath(dir, lineage string) string { return filepath.Join(dir, lineage+".key") }

// LoadKey reads the fingerprint key of a lineage. Where there is none it makes
// one when create is set, else the error matches [fs.ErrNotExist].
func LoadKey(dir, lineage string, create bool) ([]byte, error) {
	if dir == "" {
		return nil, fs.ErrNotExist
	}
	path := keyPath(dir, lineage)
	raw, err := os.ReadFile(path)
	switch {
	case err == nil:
		return parseKey(path, raw)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fault.Wrap(fault.Environment, err, "read the state's fingerprint key").WithHint("it must be readable by you alone")
	case !create:
		return nil, err
	}
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails, by its documentation
	if err := storeKey(dir, lineage, key, false); errors.Is(err, fs.ErrExist) {
		return LoadKey(dir, lineage, false) // somebody was faster
	} else if err != nil {
		return nil, err
	}
	return key, nil
}

func parseKey(path string, raw []byte) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(key) != keySize {
		return nil, fault.New(fault.State, "the fingerprint key %s is damaged", path).
			WithHint("bring it back from a copy, or from another machine that works on this state")
	}
	return key, nil
}

// storeKey writes a key file, 0600.
func storeKey(dir, lineage string, key []byte, overwrite bool) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Wrap(fault.Environment, err, "make the folder of the state's keys").
			WithHint("set WFCTL_STATE_KEY_DIR to a folder that can be written, outside the project")
	}
	write := atomicfile.Create
	if overwrite {
		write = atomicfile.Write
	}
	text := base64.StdEncoding.EncodeToString(key) + "\n"
	err := write(keyPath(dir, lineage), []byte(text), 0o600)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fault.Wrap(fault.Environment, err, "write the state's fingerprint key").
			WithHint("set WFCTL_STATE_KEY_DIR to a folder that can be written, outside the project")
	}
	return err
}

// keyID names a key without telling anything of it.
func keyID(key []byte) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("wfctl fingerprint key"))
	return hex.EncodeToString(m.Sum(nil)[:8])
}

// Fingerprint is the keyed hash that stands for a sensitive value: "h1:" and
// the HMAC-SHA-256 in base64. [Log.CheckKey] tells whether it is the key that
// the recorded fingerprints were made with.
func (l *Log) Fingerprint(value []byte) string {
	m := hmac.New(sha256.New, l.fingerprintKey())
	m.Write(value)
	return "h1:" + base64.RawStdEncoding.EncodeToString(m.Sum(nil))
}

// fingerprintKey is the key at hand. Before the first lock it is made for the
// lineage to come, so that a plan made now holds at the apply. Where that
// cannot be written, a key of this process alone serves the plan, and Lock
// tells the reason.
func (l *Log) fingerprintKey() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.key != nil {
		return l.key
	}
	if l.table.seq == 0 && l.o.KeyDir != "" {
		if key, err := l.prepareKey(); err == nil {
			l.key = key
			return key
		}
	}
	l.key = make([]byte, keySize)
	_, _ = rand.Read(l.key)
	return l.key
}

// prepareKey makes the key of a log that does not exist yet.
func (l *Log) prepareKey() ([]byte, error) {
	if err := l.place.prepare(l.o); err != nil {
		return nil, err
	}
	return LoadKey(l.o.KeyDir, l.place.Lineage, true)
}

// findKey looks for the key of a log that is there: on this machine, else
// sealed in the log. Not to find one is no error until it is needed.
func (l *Log) findKey(ctx context.Context) error {
	l.mu.Lock()
	t := l.table
	known := t.key != nil && l.key != nil && keyID(l.key) == t.key.ID
	l.mu.Unlock()
	if t.key == nil || known {
		return nil
	}
	key, err := LoadKey(l.o.KeyDir, t.lineage, false)
	if err == nil && keyID(key) == t.key.ID {
		l.setKey(key)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if t.key.Sealed == nil || l.o.Sealer == nil {
		return nil
	}
	key, err = l.unsealKey(ctx, t.key.Sealed)
	if err != nil {
		return fault.Wrap(fault.State, err, "open the state's fingerprint key").
			WithHint("the module iac.state names the encryption; its private key or the right to use it must be here. After a change of keys: `wfctl infra state rekey --former …`")
	}
	if keyID(key) != t.key.ID {
		return damaged("the fingerprint key in it is another one")
	}
	l.setKey(key)
	return nil
}

func (l *Log) unsealKey(ctx context.Context, sealed []byte) ([]byte, error) {
	key, err := l.o.Sealer.Open(ctx, sealed)
	if err != nil && l.o.Former != nil {
		return l.o.Former.Open(ctx, sealed)
	}
	return key, err
}

func (l *Log) setKey(key []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.key = key
}

// CheckKey tells whether fingerprints made here can be compared with those on
// record. It is nil for a state without fingerprints.
func (l *Log) CheckKey() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.table
	if t.key == nil || l.key != nil && keyID(l.key) == t.key.ID || !t.hasFingerprints() {
		return nil
	}
	return fault.New(fault.State, "the fingerprint key of this state (%s) is not on this machine", t.key.ID).
		WithHint("copy %s from a machine that has worked on this state, or give the state an `encryption` with which the key travels, or make a new key with `wfctl infra state rekey --new-key`: the next plan then shows every sensitive value as changed",
			keyPath(l.o.KeyDir, t.lineage))
}

// hasFingerprints tells whether any record holds one.
func (t *table) hasFingerprints() bool {
	for _, s := range t.records {
		if bytes.Contains(s.rec.Config, []byte(`"$fingerprint"`)) {
			return true
		}
		for _, out := range s.rec.Outputs {
			if out.Fingerprint != "" {
				return true
			}
		}
	}
	return false
}

// settleKey names the key of the log where that has not been done, or where a
// new one is wanted or the old one is lost and nothing rests on it.
func (s *Session) settleKey(ctx context.Context, renew bool) error {
	l := s.log
	l.mu.Lock()
	known, have, lineage := l.table.key, l.key, l.table.lineage
	l.mu.Unlock()
	if !renew && known != nil && have != nil && keyID(have) == known.ID {
		return nil
	}
	key, err := l.makeKey(lineage, renew || known != nil)
	if err != nil {
		return err
	}
	it := &keyItem{ID: keyID(key)}
	if l.o.Sealer != nil {
		if it.Sealed, err = l.o.Sealer.Seal(ctx, key); err != nil {
			return fault.Wrap(fault.State, err, "seal the state's fingerprint key").WithHint("check the `encryption` of the module iac.state")
		}
	}
	if err := s.put(ctx, item{Key: it}); err != nil {
		return err
	}
	l.setKey(key)
	return nil
}

// makeKey returns the key of a lineage, a fresh one where an old one is of no
// use any more.
func (l *Log) makeKey(lineage string, fresh bool) ([]byte, error) {
	if !fresh && l.o.KeyDir != "" {
		return LoadKey(l.o.KeyDir, lineage, true)
	}
	key := make([]byte, keySize)
	_, _ = rand.Read(key)
	if l.o.KeyDir == "" {
		return key, nil
	}
	return key, storeKey(l.o.KeyDir, lineage, key, true)
}
