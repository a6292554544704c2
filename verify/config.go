package verify

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/itchyny/gojq"

	"github.com/gocodealone/wfctl/fault"
)

// Duration is a time.Duration that is written as "30s" or "5m".
type Duration time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("a duration is written as \"30s\" or \"5m\"")
	}
	if text == "" {
		return nil
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration: write \"30s\" or \"5m\"", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// Statuses are the HTTP statuses that count as success.
type Statuses []string

// UnmarshalJSON takes 200, "2xx", or a list of them.
func (s *Statuses) UnmarshalJSON(raw []byte) error {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	*s = nil
	for _, item := range list {
		text := strings.Trim(string(item), `"`)
		if n, err := strconv.Atoi(text); (err != nil || n < 100 || n > 599) && !isClass(text) {
			return fmt.Errorf("%s is not an HTTP status: write 200, \"2xx\", or a list of them", item)
		}
		*s = append(*s, strings.ToLower(text))
	}
	return nil
}

func isClass(s string) bool {
	return len(s) == 3 && s[0] >= '1' && s[0] <= '5' && strings.EqualFold(s[1:], "xx")
}

func (s Statuses) has(status int) bool {
	text := strconv.Itoa(status)
	return slices.Contains(s, text) || slices.Contains(s, text[:1]+"xx")
}

// TLS says how the other side is to prove itself.
type TLS struct {
	// Verify false takes any certificate.
	Verify     *bool  `json:"verify,omitempty"`
	CAFile     string `json:"ca_file,omitempty"`
	ServerName string `json:"server_name,omitempty"`
	// MinDays fails a certificate that ends before.
	MinDays int `json:"min_days,omitempty"`
}

// Target is one thing to ask. Exactly one of URL, TCP, GRPC, DNS and SQL is set.
type Target struct {
	Name string `json:"name,omitempty"`
	URL  string `json:"url,omitempty"`
	// TCP and GRPC are HOST:PORT, DNS a name to resolve.
	TCP         string `json:"tcp,omitempty"`
	GRPC        string `json:"grpc,omitempty"`
	GRPCService string `json:"grpc_service,omitempty"`
	DNS         string `json:"dns,omitempty"`
	// SQL is the URL of a database: postgres://… or sqlite:FILE.
	SQL string `json:"sql,omitempty"`

	Method  string            `json:"method,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	TLS     *TLS              `json:"tls,omitempty"`
	// FollowRedirects is how many redirects to follow; a redirect is an
	// answer of its own by default.
	FollowRedirects int `json:"follow_redirects,omitempty"`

	ExpectStatus       Statuses          `json:"expect_status,omitempty"`
	ExpectBodyContains string            `json:"expect_body_contains,omitempty"`
	ExpectJQ           string            `json:"expect_jq,omitempty"`
	ExpectHeader       map[string]string `json:"expect_header,omitempty"`
	MaxLatency         Duration          `json:"max_latency,omitempty"`
	// MaxBody is how many bytes of a body are read.
	MaxBody int `json:"max_body,omitempty"`

	Rhythm
}

// Rhythm says how often and how long to ask. A target's own overrides the
// gate's, but for the timeout, which is that of the whole.
type Rhythm struct {
	// Interval is the pause between two attempts; 0 begins with short pauses
	// that grow to 2 s.
	Interval Duration `json:"interval,omitempty"`
	// AttemptTimeout bounds one attempt (5 s).
	AttemptTimeout Duration `json:"attempt_timeout,omitempty"`
	// Consecutive is how many successes in a row count as one (1).
	Consecutive int `json:"consecutive,omitempty"`
	// MaxRetries is how many failures are too many; 0 leaves it to the time.
	MaxRetries int `json:"max_retries,omitempty"`
}

// Config is a gate: all targets must pass within the timeout.
type Config struct {
	Targets []Target `json:"targets"`
	// Timeout is that of the whole (5 min).
	Timeout Duration `json:"timeout,omitempty"`
	Rhythm
}

// The defaults.
const (
	defaultTimeout = 5 * time.Minute
	defaultAttempt = 5 * time.Second
	defaultBody    = 64 << 10
	firstPause     = 100 * time.Millisecond
	longestPause   = 2 * time.Second
)

// target is a compiled target.
type target struct {
	Target
	name  string
	query *gojq.Code
	url   *url.URL
}

// compile checks a configuration and fills in the defaults. All mistakes are
// reported at once.
func (c Config) compile() ([]*target, error) {
	var faults fault.List
	if len(c.Targets) == 0 {
		faults = append(faults, fault.New(fault.Config, "a gate without targets checks nothing").WithHint("add targets: [{url: …}]"))
	}
	var all []*target
	for i, t := range c.Targets {
		compiled, err := t.compile(c.Rhythm)
		if err != nil {
			err.Message = fmt.Sprintf("target %d: %s", i+1, err.Message)
			faults = append(faults, err)
			continue
		}
		all = append(all, compiled)
	}
	return all, faults.Err()
}

// Check reports what is wrong with a configuration, without I/O.
func (c Config) Check() error {
	_, err := c.compile()
	return err
}

func (t Target) compile(gate Rhythm) (*target, *fault.Error) {
	t.Rhythm = t.or(gate)
	if t.MaxBody <= 0 {
		t.MaxBody = defaultBody
	}
	if len(t.ExpectStatus) == 0 {
		t.ExpectStatus = Statuses{"2xx"}
	}
	c := &target{Target: t, name: t.Name}
	kinds := 0
	for _, address := range []string{t.URL, t.TCP, t.GRPC, t.DNS, t.sqlName()} {
		if address != "" {
			kinds++
			if c.name == "" {
				c.name = address
			}
		}
	}
	if kinds != 1 {
		return nil, fault.New(fault.Config, "it needs exactly one of url, tcp, grpc, dns and sql")
	}
	if t.URL != "" {
		if err := c.parseURL(); err != nil {
			return nil, err
		}
	}
	return c, c.parseQuery()
}

// sqlName is the database's URL without what may be a password.
func (t Target) sqlName() string {
	if t.SQL == "" {
		return ""
	}
	u, err := url.Parse(t.SQL)
	if err != nil {
		return "the database"
	}
	u.RawQuery = ""
	return u.Redacted()
}

func (t *target) parseURL() *fault.Error {
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fault.New(fault.Config, "its url is not an HTTP address").WithHint("write it as https://host/path")
	}
	t.url = u
	if t.Name == "" {
		t.name = u.Redacted()
	}
	return nil
}

func (t *target) parseQuery() *fault.Error {
	if t.ExpectJQ == "" {
		return nil
	}
	query, err := gojq.Parse(t.ExpectJQ)
	if err == nil {
		t.query, err = gojq.Compile(query)
	}
	if err != nil {
		return fault.Wrap(fault.Config, err, "its expect_jq %q cannot be read", t.ExpectJQ).WithHint("try it with `jq`: .status == \"ok\"")
	}
	return nil
}

// or fills in what r leaves open.
func (r Rhythm) or(gate Rhythm) Rhythm {
	pick := func(own, other, otherwise Duration) Duration {
		if own > 0 {
			return own
		}
		if other > 0 {
			return other
		}
		return otherwise
	}
	r.Interval = pick(r.Interval, gate.Interval, 0)
	r.AttemptTimeout = pick(r.AttemptTimeout, gate.AttemptTimeout, Duration(defaultAttempt))
	if r.Consecutive == 0 {
		r.Consecutive = max(gate.Consecutive, 1)
	}
	if r.MaxRetries == 0 {
		r.MaxRetries = gate.MaxRetries
	}
	return r
}
