package cli_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gocodealone/wfctl/build/push/pushtest"
)

// scriptRegistries are the container registries of scripts, by script and name.
type scriptRegistries struct {
	t       *testing.T
	mu      sync.Mutex
	running map[string]*scriptRegistry
}

type scriptRegistry struct {
	*pushtest.Registry
	mu     sync.Mutex
	faults []registryFault
}

type registryFault struct {
	status       int
	method, part string
	times        int
}

func (r *scriptRegistry) before(w http.ResponseWriter, q *http.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.faults {
		f := &r.faults[i]
		if f.times > 0 && q.Method == f.method && strings.Contains(q.URL.Path, f.part) {
			f.times--
			w.WriteHeader(f.status)
			return true
		}
	}
	return false
}

func (s *scriptRegistries) get(ts *testscript.TestScript, name string) *scriptRegistry {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.running[ts.Name()+" "+name]
	if r == nil {
		ts.Fatalf("no registry %s: registrystart first", name)
	}
	return r
}

// start starts a registry and sets NAME to its host: registrystart NAME [USER PASSWORD].
func (s *scriptRegistries) start(ts *testscript.TestScript, _ bool, args []string) {
	r := &scriptRegistry{Registry: &pushtest.Registry{}}
	if len(args) == 3 {
		r.User, r.Password = args[1], args[2]
	}
	r.Before = r.before
	pushtest.Start(s.t, r.Registry)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[ts.Name()+" "+args[0]] = r
	ts.Setenv(args[0], r.Host)
}

// has checks the tags of a registry, and that each leads to a whole image:
// registryhas NAME REPOSITORY:TAG…
func (s *scriptRegistries) has(ts *testscript.TestScript, _ bool, args []string) {
	r := s.get(ts, args[0])
	ts.Check(r.Whole())
	if tags := r.Tags(); !slices.Equal(tags, args[1:]) {
		ts.Fatalf("the registry %s has the tags %v, want %v", args[0], tags, args[1:])
	}
}

// received checks how many bytes of blobs came in since the last time:
// registryreceived NAME AT-LEAST AT-MOST.
func (s *scriptRegistries) received(ts *testscript.TestScript, _ bool, args []string) {
	n := s.get(ts, args[0]).Received()
	least, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	most, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	if n < least || n > most {
		ts.Fatalf("%d bytes came in, want %d to %d", n, least, most)
	}
}

// fails has requests fail: registryfails NAME STATUS METHOD PART TIMES.
func (s *scriptRegistries) fails(ts *testscript.TestScript, _ bool, args []string) {
	r := s.get(ts, args[0])
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	times, err := strconv.Atoi(args[4])
	ts.Check(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, registryFault{status, args[2], args[3], times})
}
