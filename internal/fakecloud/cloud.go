// Package fakecloud is a small cloud for tests: networks, databases,
// applications and machines that carry tags, refuse to go while others use
// them, and fail as they are told to. It keeps what it has in a folder, so
// that a plugin's process, the next one and a test see the same, or in memory.
// It writes down every request. Tests alone use it.
package fakecloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/sdk"
)

// Thing is a resource.
type Thing struct {
	Type   string         `json:"type"`
	ID     string         `json:"id"`
	Name   string         `json:"name"`
	Key    string         `json:"key,omitempty"`
	Owner  *sdk.Ownership `json:"owner,omitempty"`
	Config config         `json:"config"`
	// Gone things are deleted, and count as users for some more attempts.
	Gone  bool `json:"gone,omitempty"`
	Lasts int  `json:"lasts,omitempty"`
	// Sick says why it does not work.
	Sick string `json:"sick,omitempty"`
}

// Fault is what goes wrong with requests that it fits.
type Fault struct {
	// Op is a method in lower case, "" for all; Name a resource's, "" for all.
	Op      string   `json:"op,omitempty"`
	Name    string   `json:"name,omitempty"`
	Code    sdk.Code `json:"code"`
	Message string   `json:"message,omitempty"`
	// Path is the field that it is about.
	Path sdk.Path `json:"path,omitempty"`
	// After means that the effect has taken place.
	After bool `json:"after,omitempty"`
	// Times is how often; 0 is always.
	Times int `json:"times,omitempty"`
}

// Request is one that the cloud was asked.
type Request struct {
	Op     string         `json:"op"`
	Type   string         `json:"type,omitempty"`
	ID     string         `json:"id,omitempty"`
	Name   string         `json:"name,omitempty"`
	Owner  *sdk.Ownership `json:"owner,omitempty"`
	Config string         `json:"config,omitempty"`
	Env    string         `json:"env,omitempty"`
}

// Cloud is the platform.
type Cloud struct {
	// Dir is where it keeps what it has; "" keeps it in memory.
	Dir string

	mu       sync.Mutex
	state    contents
	requests []Request
}

type contents struct {
	Next   int      `json:"next"`
	Things []*Thing `json:"things"`
	Faults []*Fault `json:"faults,omitempty"`
}

const (
	cloudFile    = "cloud.json"
	requestsFile = "requests.jsonl"
)

// Do works on the contents, alone in this process. What a test and a plugin do
// is one after the other.
func (c *Cloud) do(work func(*contents) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Dir == "" {
		return work(&c.state)
	}
	var s contents
	raw, err := os.ReadFile(filepath.Join(c.Dir, cloudFile))
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	failed := work(&s)
	if raw, err = json.MarshalIndent(s, "", "  "); err == nil {
		err = atomicfile.Write(filepath.Join(c.Dir, cloudFile), append(raw, '\n'), 0o600)
	}
	return errors.Join(failed, err)
}

// note writes a request down.
func (c *Cloud) note(r Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	if c.Dir == "" {
		return
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return
	}
	f, err := os.OpenFile(filepath.Join(c.Dir, requestsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()                   //nolint:errcheck // a line that is lost fails a test
	_, _ = f.Write(append(raw, '\n')) // one write, so that lines stay whole
}

// Requests are all that this cloud was asked in this process.
func (c *Cloud) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// Things lists what is there, sorted by name.
func (c *Cloud) Things() (list []Thing) {
	_ = c.do(func(s *contents) error {
		for _, t := range s.Things {
			if !t.Gone {
				list = append(list, *t)
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Thing) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return list
}

// Change works on a thing behind everybody's back.
func (c *Cloud) Change(name string, change func(*Thing)) error {
	return c.do(func(s *contents) error {
		for _, t := range s.Things {
			if t.Name == name && !t.Gone {
				change(t)
				return nil
			}
		}
		return fmt.Errorf("there is no %q", name)
	})
}

// Remove makes a thing vanish.
func (c *Cloud) Remove(name string) error {
	return c.Change(name, func(t *Thing) { t.Gone, t.Lasts = true, 0 })
}

// Put makes a thing by hand and returns its identifier.
func (c *Cloud) Put(t Thing) (id string) {
	_ = c.do(func(s *contents) error {
		t.ID = s.id(t.Type)
		id = t.ID
		s.Things = append(s.Things, &t)
		return nil
	})
	return id
}

// Fail adds a fault.
func (c *Cloud) Fail(f Fault) error {
	return c.do(func(s *contents) error { s.Faults = append(s.Faults, &f); return nil })
}

// Mend takes all faults away.
func (c *Cloud) Mend() error { return c.do(func(s *contents) error { s.Faults = nil; return nil }) }

func (s *contents) id(typ string) string {
	s.Next++
	_, word, _ := strings.Cut(typ, ".")
	return fmt.Sprintf("%s-%04d", strings.ReplaceAll(word, "_", "-"), s.Next)
}

// fault is what goes wrong with a request, if anything does.
func (s *contents) fault(op, name string, after bool) error {
	for i, f := range s.Faults {
		if f.After != after || f.Op != "" && f.Op != op || f.Name != "" && f.Name != name {
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.Faults = slices.Delete(s.Faults, i, i+1)
			}
		}
		message := f.Message
		if message == "" {
			message = "the cloud says " + string(f.Code)
		}
		return &sdk.Error{Code: f.Code, Message: message, Path: f.Path}
	}
	return nil
}

// find finds a thing by identifier, else by key, else by name.
func (s *contents) find(typ, id, key, name string, except []string) *Thing {
	var byName *Thing
	for _, t := range s.Things {
		if t.Gone || t.Type != typ || slices.Contains(except, t.ID) {
			continue
		}
		switch {
		case id != "":
			if t.ID == id {
				return t
			}
		case key != "" && t.Key == key:
			return t
		case t.Name == name && byName == nil:
			byName = t
		}
	}
	return byName
}

// users names what uses a thing, those included that linger.
func (s *contents) users(t *Thing) []string {
	var names []string
	for _, u := range s.Things {
		uses := u.Config.VPC == t.ID || u.Config.Net == t.Name && t.Type == "infra.vpc" || slices.Contains(u.Config.Uses, t.ID)
		if u == t || !uses || u.Gone && u.Lasts == 0 {
			continue
		}
		if u.Gone {
			u.Lasts--
		}
		names = append(names, u.Type+" "+u.Name+" ("+u.ID+")")
	}
	slices.Sort(names)
	return names
}
