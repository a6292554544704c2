package fakedo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of Fault.
const (
	// FaultRateLimit answers 429 with the headers of the real service.
	FaultRateLimit = "rate_limit"
	// FaultError answers Status (503) and does nothing.
	FaultError = "error"
	// FaultErrorAfter does what was asked and answers Status (500).
	FaultErrorAfter = "error_after"
	// FaultSlow takes Delay, of the server's clock.
	FaultSlow = "slow"
	// FaultHang does nothing and never answers.
	FaultHang = "hang"
	// FaultDropBefore closes the connection and does nothing.
	FaultDropBefore = "drop_before"
	// FaultDropAfter does what was asked and closes the connection.
	FaultDropAfter = "drop_after"
	// FaultLag hides what the request creates for the next Reads reads of
	// it, and from as many lists.
	FaultLag = "lag"
	// FaultQuota answers 422 as if the account were full.
	FaultQuota = "quota"
	// FaultReject answers Status (422) with Message.
	FaultReject = "reject"
	// FaultDeployment lets the next deployment of an app fail: the
	// Component (the first by default) in Phase BUILDING or DEPLOYING, with
	// Code, Message and Lines of log.
	FaultDeployment = "deployment"
)

var faultKinds = []string{FaultRateLimit, FaultError, FaultErrorAfter, FaultSlow, FaultHang, FaultDropBefore, FaultDropAfter,
	FaultLag, FaultQuota, FaultReject, FaultDeployment}

// A Duration is read from JSON as text such as "30s".
type Duration time.Duration

func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("a duration is text such as \"30s\": %w", err)
	}
	v, err := time.ParseDuration(text)
	*d = Duration(v)
	return err
}

func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// A Fault is what goes wrong with requests that it matches.
type Fault struct {
	Kind string `json:"kind"`
	// Method and Path say for which requests; none means all. A Path is
	// matched with path.Match, as it was sent ("/v2/vpcs/*") or as the
	// description has it ("/v2/vpcs/{vpc_id}").
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// Skip lets so many matching requests pass first. Times is for how many
	// it then holds: 0 is once, below 0 is for good.
	Skip  int `json:"skip,omitempty"`
	Times int `json:"times,omitempty"`

	Status  int      `json:"status,omitempty"`
	Message string   `json:"message,omitempty"`
	Delay   Duration `json:"delay,omitempty"`
	Reads   int      `json:"reads,omitempty"`

	App       string   `json:"app,omitempty"` // of FaultDeployment: a pattern for the app's name
	Component string   `json:"component,omitempty"`
	Phase     string   `json:"phase,omitempty"`
	Code      string   `json:"code,omitempty"`
	Lines     []string `json:"lines,omitempty"`
}

// Check says what is wrong with a fault.
func (f Fault) Check() error {
	if !slices.Contains(faultKinds, f.Kind) {
		return fmt.Errorf("fault kind %q is none of %s", f.Kind, strings.Join(faultKinds, ", "))
	}
	if _, err := path.Match(f.Path, ""); err != nil {
		return fmt.Errorf("fault path %q: %w", f.Path, err)
	}
	if f.Phase != "" && f.Phase != "BUILDING" && f.Phase != "DEPLOYING" {
		return fmt.Errorf("fault phase %q is neither BUILDING nor DEPLOYING", f.Phase)
	}
	return nil
}

// Inject sets faults. A fault that is no fault is a mistake of the test, and panics.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if err := f.Check(); err != nil {
			panic("fakedo: " + err.Error())
		}
		if f.Times == 0 {
			f.Times = 1
		}
		s.faults = append(s.faults, &f)
	}
}

// ClearFaults takes away all faults and the chaos.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.chaos = nil, Chaos{}
}

// PendingFaults lists the faults that have not struck as often as they may.
func (s *Server) PendingFaults() (out []Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Times > 0 {
			out = append(out, *f)
		}
	}
	return out
}

// Chaos is how probable it is that a request fails, each from 0 to 1. The
// same Seed throws the same dice.
type Chaos struct {
	Seed        uint64  `json:"seed"`
	DropAfter   float64 `json:"drop_after"`
	DropBefore  float64 `json:"drop_before"`
	ServerError float64 `json:"server_error"`
	RateLimit   float64 `json:"rate_limit"`
	// Reads makes reading as uncertain as changing; without it only
	// requests that change something fail.
	Reads bool `json:"reads"`
}

// SetChaos lets requests fail at random.
func (s *Server) SetChaos(c Chaos) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chaos = c
	s.dice = newDice(c.Seed)
}

// picked is the faults that hold for one request.
type picked []*Fault

func (p picked) get(kind string) *Fault {
	for _, f := range p {
		if f.Kind == kind {
			return f
		}
	}
	return nil
}

func (p picked) is(kind string) bool { return p.get(kind) != nil }

func (p picked) names() string {
	var out []string
	for _, f := range p {
		out = append(out, f.Kind)
	}
	return strings.Join(out, ",")
}

// refusal is the answer of a fault that strikes before the effect.
func (p picked) refusal(s *Server) (reply, bool) {
	for _, f := range p {
		switch f.Kind {
		case FaultRateLimit:
			return s.tooMany(f), true
		case FaultError:
			return f.reply(http.StatusServiceUnavailable, "Service Unavailable"), true
		case FaultQuota:
			return f.reply(http.StatusUnprocessableEntity, "creating this resource would exceed your account's limit"), true
		case FaultReject:
			return f.reply(http.StatusUnprocessableEntity, "the request was refused"), true
		}
	}
	return reply{}, false
}

func (f *Fault) reply(status int, message string) reply {
	if f.Status != 0 {
		status = f.Status
	}
	if f.Message != "" {
		message = f.Message
	}
	return problem(status, message)
}

func (s *Server) tooMany(f *Fault) reply {
	wait := time.Duration(f.Delay)
	if wait == 0 {
		wait = 30 * time.Second
	}
	rep := f.reply(http.StatusTooManyRequests, "API Rate limit exceeded.")
	rep.header = http.Header{}
	rep.header.Set("ratelimit-limit", strconv.Itoa(rateLimit))
	rep.header.Set("ratelimit-remaining", "0")
	rep.header.Set("ratelimit-reset", strconv.FormatInt(s.now.Add(wait).Unix(), 10))
	rep.header.Set("retry-after", strconv.Itoa(int(wait.Seconds())))
	return rep
}

// pick takes the faults that match a request; each counts.
func (s *Server) pick(r *http.Request, o *operation) (out picked) {
	for _, f := range s.faults {
		if f.Kind == FaultDeployment || f.Times == 0 || !f.matches(r, o) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		out = append(out, f)
	}
	if f := s.throw(r); f != nil {
		out = append(out, f)
	}
	return out
}

func (f *Fault) matches(r *http.Request, o *operation) bool {
	if f.Method != "" && f.Method != r.Method {
		return false
	}
	if f.Path == "" || f.Path == o.path {
		return true
	}
	ok, _ := path.Match(f.Path, r.URL.Path)
	return ok
}

// throw the dice of the chaos.
func (s *Server) throw(r *http.Request) *Fault {
	c := s.chaos
	if r.Method == http.MethodGet && !c.Reads {
		return nil
	}
	for _, w := range []struct {
		p    float64
		kind string
	}{{c.DropAfter, FaultDropAfter}, {c.DropBefore, FaultDropBefore}, {c.ServerError, FaultError}, {c.RateLimit, FaultRateLimit}} {
		if w.p > 0 && s.dice.Float64() < w.p {
			return &Fault{Kind: w.kind, Delay: Duration(time.Second)}
		}
	}
	return nil
}

// deploymentFault is the fault for an app's next deployment.
func (s *Server) deploymentFault(app string) *Fault {
	for _, f := range s.faults {
		if f.Kind != FaultDeployment || f.Times == 0 {
			continue
		}
		if ok, _ := path.Match(f.App, app); f.App != "" && !ok {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f
	}
	return nil
}
