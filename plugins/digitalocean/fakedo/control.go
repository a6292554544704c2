package fakedo

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An Entry is one request as the server saw it.
type Entry struct {
	At     time.Time       `json:"at"`
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Route  string          `json:"route"`
	Body   json.RawMessage `json:"body,omitempty"`
	// Status is what was answered, 0 where the connection was closed before
	// anything was done.
	Status int    `json:"status"`
	Fault  string `json:"fault,omitempty"`
}

func (s *Server) record(r *http.Request, route string, body []byte, status int, fault string) {
	e := Entry{At: s.now, Method: r.Method, Path: r.URL.RequestURI(), Route: route, Status: status, Fault: fault}
	if json.Valid(body) {
		e.Body = slices.Clone(body)
	}
	s.entries = append(s.entries, e)
}

func (s *Server) note(r *http.Request, o *operation, body []byte, status int, fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record(r, o.pattern, body, status, fault)
}

// Log lists all requests, in their order.
func (s *Server) Log() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries)
}

// Count is how many requests of a route ("POST /v2/vpcs") took effect or were
// at least answered.
func (s *Server) Count(route string) (n int) {
	for _, e := range s.Log() {
		if e.Route == route && e.Status != 0 {
			n++
		}
	}
	return n
}

// Advance moves the time, where the clock can be moved.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(d)
	s.tick()
}

// State is every resource by kind, as the API shows it.
func (s *Server) State() map[string][]map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	out := map[string][]map[string]any{}
	for kind, sh := range s.shelves {
		for _, o := range sh.objects {
			var copied doc
			data, err := json.Marshal(o.doc)
			if err != nil || json.Unmarshal(data, &copied) != nil {
				continue
			}
			out[kind] = append(out[kind], copied)
		}
	}
	return out
}

// serveControl is the fake's own API, for who runs it as a program.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/_fake/") {
	case "GET log":
		answerJSON(w, orEmpty(s.Log()))
	case "GET ca":
		ca, err := s.Authority()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/x-pem-file")
		_, _ = w.Write(ca) // a client that went away needs no answer
	case "GET state":
		answerJSON(w, s.State())
	case "GET made":
		answerJSON(w, s.Made())
	case "GET remaining":
		answerJSON(w, orEmpty(s.Remaining()))
	case "GET violations":
		answerJSON(w, orEmpty(s.Violations()))
	case "GET faults":
		answerJSON(w, orEmpty(s.PendingFaults()))
	case "POST faults":
		s.controlFaults(w, r)
	case "DELETE faults":
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	case "POST chaos":
		var c Chaos
		if readJSON(w, r, &c) {
			s.SetChaos(c)
			answerJSON(w, c)
		}
	case "POST advance":
		var in struct{ By Duration }
		if readJSON(w, r, &in) {
			s.Advance(time.Duration(in.By))
			answerJSON(w, doc{"now": s.opts.Clock.Now()})
		}
	default:
		http.Error(w, "the fake has GET log, state, made, remaining, violations, faults, ca; POST faults, chaos, advance; DELETE faults", http.StatusNotFound)
	}
}

func (s *Server) controlFaults(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if !readJSON(w, r, &f) {
		return
	}
	if err := f.Check(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.Inject(f)
	answerJSON(w, f)
}

func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// orEmpty shows a list without elements as [] rather than null.
func orEmpty[T any](list []T) []T { return append([]T{}, list...) }

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // a client that went away needs no answer
}
