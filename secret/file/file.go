// Package file keeps secrets in files that only their owner can read: one
// value alone in a file, or several by name as JSON or as lines NAME=value.
package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/secret"
)

// Schema is the JSON Schema of the options.
const Schema = `{"type": "object", "additionalProperties": false, "required": ["path"], "properties": {
	"path": {"type": "string", "minLength": 1, "description": "the file, relative to the application file's folder"},
	"format": {"enum": ["value", "json", "env"], "description": "value: the value alone; json: an object of values by name; env: lines NAME=value; default: by the ending of the path, else value"}}}`

type options struct {
	Path   string `json:"path"`
	Format string `json:"format"`
}

// Kind is the sink `file`.
func Kind() secret.Kind {
	var writing sync.Mutex // several values may go to one file
	return secret.Kind{Schema: json.RawMessage(Schema), Open: func(h secret.Host) (secret.Sink, error) {
		return &Sink{dir: h.BaseDir, writing: &writing}, nil
	}}
}

// Sink writes files below a folder.
type Sink struct {
	dir     string
	writing *sync.Mutex
}

var _ secret.Reader = (*Sink)(nil)

// New makes a sink that reads and writes by itself.
func New(dir string) *Sink { return &Sink{dir: dir, writing: &sync.Mutex{}} }

// place is where a target is.
type place struct {
	path, format, name string
}

func (s *Sink) place(t secret.Target) (place, error) {
	var o options
	if err := json.Unmarshal(t.Options, &o); err != nil || o.Path == "" {
		return place{}, fault.New(fault.Config, "the sink file needs a `path`")
	}
	p := place{path: o.Path, format: o.Format, name: t.Name}
	if !filepath.IsAbs(p.path) {
		p.path = filepath.Join(s.dir, filepath.FromSlash(p.path))
	}
	if p.format == "" {
		p.format = map[string]string{".json": "json", ".env": "env"}[filepath.Ext(p.path)]
	}
	return p, nil
}

// read returns what the file holds, nil where there is none.
func (p place) read() ([]byte, error) {
	raw, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "read the secrets of %s", p.path)
	}
	return raw, nil
}

func (p place) save(raw []byte) error {
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return fault.Wrap(fault.Environment, err, "make the folder of %s", p.path)
	}
	if err := atomicfile.Write(p.path, raw, 0o600); err != nil {
		return fault.Wrap(fault.Environment, err, "write the secret to %s", p.path)
	}
	return nil
}

// get finds the value in what the file holds.
func (p place) get(raw []byte) (v []byte, found bool, err error) {
	switch {
	case raw == nil:
		return nil, false, nil
	case p.format == "json":
		all, err := p.object(raw)
		if err != nil {
			return nil, false, err
		}
		text, ok := all[p.name]
		return []byte(text), ok, nil
	case p.format == "env":
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name == p.name {
				return unquote(value), true, nil
			}
		}
		return nil, false, nil
	}
	if bytes.Count(raw, []byte("\n")) == 1 { // an editor's, at the end of the only line
		raw = bytes.TrimSuffix(raw, []byte("\n"))
	}
	return raw, true, nil
}

func (p place) object(raw []byte) (map[string]string, error) {
	all := map[string]string{}
	if len(bytes.TrimSpace(raw)) == 0 {
		return all, nil
	}
	if json.Unmarshal(raw, &all) != nil { // the error would show a part of it
		return nil, fault.New(fault.Environment, "%s is no JSON object of strings", p.path).WithHint("mend it, or name another file")
	}
	return all, nil
}

// put returns what the file is to hold; a nil value takes the name out.
func (p place) put(raw, value []byte) ([]byte, error) {
	switch p.format {
	case "json":
		all, err := p.object(raw)
		if err != nil {
			return nil, err
		}
		if delete(all, p.name); value != nil {
			all[p.name] = string(value)
		}
		out, err := json.MarshalIndent(all, "", "  ")
		return append(out, '\n'), err
	case "env":
		var out bytes.Buffer
		for line := range strings.Lines(string(raw)) {
			if name, _, _ := strings.Cut(strings.TrimSpace(line), "="); name != p.name {
				out.WriteString(strings.TrimRight(line, "\n") + "\n")
			}
		}
		if value != nil {
			fmt.Fprintf(&out, "%s=%s\n", p.name, quote(value))
		}
		return out.Bytes(), nil
	}
	return value, nil
}

// quote writes a value on one line, as JSON does where it needs quotes.
func quote(v []byte) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:@%+=,?&", r)
	}
	if len(v) > 0 && strings.TrimFunc(string(v), plain) == "" {
		return string(v)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(string(v)) // a string
	return strings.TrimSuffix(out.String(), "\n")
}

func unquote(s string) []byte {
	var text string
	if strings.HasPrefix(s, `"`) && json.Unmarshal([]byte(s), &text) == nil {
		return []byte(text)
	}
	return []byte(strings.Trim(s, "'"))
}

// Write implements secret.Sink.
func (s *Sink) Write(_ context.Context, req secret.Request) (secret.Receipt, error) {
	p, err := s.place(req.Target)
	if err != nil {
		return secret.Receipt{}, err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	raw, err := p.read()
	if err != nil {
		return secret.Receipt{}, err
	}
	err = req.Value.Use(func(v []byte) error {
		out, err := p.put(raw, v)
		if err != nil {
			return err
		}
		return p.save(out)
	})
	return secret.Receipt{}, err
}

// Status implements secret.Sink.
func (s *Sink) Status(ctx context.Context, t secret.Target) (secret.Status, error) {
	_, found, err := s.Read(ctx, t)
	return secret.Status{Exists: found}, err
}

// Read implements secret.Reader.
func (s *Sink) Read(_ context.Context, t secret.Target) (secret.Value, bool, error) {
	p, err := s.place(t)
	if err != nil {
		return secret.Value{}, false, err
	}
	raw, err := p.read()
	if err != nil {
		return secret.Value{}, false, err
	}
	v, found, err := p.get(raw)
	return secret.New(v), found, err
}

// Retire implements secret.Sink.
func (s *Sink) Retire(_ context.Context, t secret.Target) error {
	p, err := s.place(t)
	if err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	raw, err := p.read()
	if err != nil || raw == nil {
		return err
	}
	if p.format == "json" || p.format == "env" {
		out, err := p.put(raw, nil)
		if err != nil {
			return err
		}
		return p.save(out)
	}
	if err := os.Remove(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Environment, err, "remove %s", p.path)
	}
	return nil
}
