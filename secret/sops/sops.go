// Package sops reads secrets from files that SOPS has encrypted. The program
// `sops` decrypts: with it comes every key service that it knows, and its
// dozens of vendors' clients stay out of wfctl. The plaintext goes through a
// pipe alone.
package sops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
)

// Store is an encrypted file: YAML, JSON, dotenv or INI, by its ending.
type Store struct {
	path string

	once   sync.Once
	values map[string]any
	err    error
}

// New makes a store of a file. Options: {"path": …}, relative to the
// application file's folder.
func New(options json.RawMessage, h secret.Host) (*Store, error) {
	var o struct {
		Path string `json:"path"`
	}
	dec := json.NewDecoder(bytes.NewReader(options))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil || o.Path == "" {
		return nil, fault.New(fault.Config, "the store sops needs a `path`, and takes no other key")
	}
	if !filepath.IsAbs(o.Path) {
		o.Path = filepath.Join(h.BaseDir, filepath.FromSlash(o.Path))
	}
	return &Store{path: o.Path}, nil
}

// Secret returns a value by its name; one that is nested by its names with
// dots between. A value that is no text is given as JSON.
func (s *Store) Secret(ctx context.Context, name string) (secret.Value, bool, error) {
	s.once.Do(func() { s.values, s.err = decrypt(ctx, s.path) })
	if s.err != nil {
		return secret.Value{}, false, s.err
	}
	v, ok := lookup(s.values, name)
	if !ok {
		return secret.Value{}, false, nil
	}
	if text, ok := v.(string); ok {
		return secret.FromString(text), true, nil
	}
	raw, err := json.Marshal(v)
	return secret.New(raw), err == nil, err
}

func lookup(values map[string]any, name string) (any, bool) {
	if v, ok := values[name]; ok {
		return v, true
	}
	first, rest, nested := strings.Cut(name, ".")
	inner, ok := values[first].(map[string]any)
	if !nested || !ok {
		return nil, false
	}
	return lookup(inner, rest)
}

func decrypt(ctx context.Context, path string) (map[string]any, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, "sops", "--decrypt", "--output-type", "json", path)
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	defer clear(out.Bytes())
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fault.New(fault.Environment, "the file %s is encrypted by SOPS, and the program `sops` is not installed", path).
			WithHint("install it: https://getsops.io")
	case err != nil:
		return nil, fault.New(fault.Environment, "sops cannot decrypt %s", path).
			WithDetail(strings.Split(strings.TrimSpace(said.String()), "\n")...).WithHint("is one of its keys here? For age: SOPS_AGE_KEY or SOPS_AGE_KEY_FILE")
	}
	values := map[string]any{}
	dec := json.NewDecoder(&out)
	dec.UseNumber()
	if dec.Decode(&values) != nil {
		return nil, fault.New(fault.Environment, "what sops decrypts from %s holds no names and values", path)
	}
	return values, nil
}
