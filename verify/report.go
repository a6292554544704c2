package verify

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/fault"
)

// Outcome is how a target ended.
type Outcome string

// The outcomes.
const (
	Passed Outcome = "passed"
	Failed Outcome = "failed"
	// Inconclusive: it could not be asked, which says nothing about it.
	Inconclusive Outcome = "inconclusive"
)

// Timing says where the time of an attempt went. What did not happen is 0.
type Timing struct {
	DNS       time.Duration `json:"dns_ns"`
	Connect   time.Duration `json:"connect_ns"`
	TLS       time.Duration `json:"tls_ns"`
	FirstByte time.Duration `json:"first_byte_ns"`
	Total     time.Duration `json:"total_ns"`
}

// String lists what happened.
func (t Timing) String() string {
	var parts []string
	for _, p := range []struct {
		name string
		d    time.Duration
	}{{"DNS", t.DNS}, {"connect", t.Connect}, {"TLS", t.TLS}, {"first byte", t.FirstByte}, {"total", t.Total}} {
		if p.d > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", p.name, round(p.d)))
		}
	}
	return strings.Join(parts, ", ")
}

// furthest says how far an attempt got that ran out of time.
func (t Timing) furthest() string {
	switch {
	case t.FirstByte > 0:
		return "the answer began and did not end"
	case t.TLS > 0 || t.Connect > 0:
		return "connected, and no answer"
	}
	return "not connected"
}

func round(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

// Sample is one answer.
type Sample struct {
	At time.Time `json:"at"`
	OK bool      `json:"ok"`
	// Reason says why it is not; masked, as all texts here are.
	Reason string `json:"reason,omitempty"`
	// Unasked: the question could not be put.
	Unasked  bool   `json:"unasked,omitempty"`
	Status   int    `json:"status,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Remote   string `json:"remote,omitempty"`
	Location string `json:"location,omitempty"`
	// Body is a redacted piece of it.
	Body            string    `json:"body,omitempty"`
	CertificateEnds time.Time `json:"certificate_ends,omitzero"`
	Timing          Timing    `json:"timing"`
}

// Summary is the answer in a few words.
func (s Sample) Summary() string {
	if !s.OK {
		return s.Reason
	}
	if s.Status != 0 {
		return fmt.Sprintf("%d in %s", s.Status, round(s.Timing.Total))
	}
	return fmt.Sprintf("answered in %s", round(s.Timing.Total))
}

// Lines are the answer in full, for a person.
func (s Sample) Lines() []string {
	lines := []string{s.At.UTC().Format(time.RFC3339) + " " + s.Summary()}
	if t := s.Timing.String(); t != "" {
		lines = append(lines, "  "+t)
	}
	if !s.CertificateEnds.IsZero() {
		lines = append(lines, "  certificate ends "+s.CertificateEnds.UTC().Format(time.DateOnly))
	}
	if s.Body != "" && !s.OK {
		lines = append(lines, "  body: "+s.Body)
	}
	return lines
}

// TargetReport is what became of one target.
type TargetReport struct {
	Name     string  `json:"name"`
	Outcome  Outcome `json:"outcome"`
	Attempts int     `json:"attempts"`
	// Reason says why it did not pass.
	Reason string `json:"reason,omitempty"`
	// Samples are the last answers, the newest last.
	Samples []Sample `json:"samples,omitempty"`

	asked bool
}

func (r *TargetReport) add(s Sample) {
	r.Attempts++
	r.asked = r.asked || !s.Unasked
	if r.Samples = append(r.Samples, s); len(r.Samples) > lastSamples {
		r.Samples = r.Samples[1:]
	}
}

// close decides a target that did not pass.
func (r *TargetReport) close(why string) {
	r.Reason = why
	if n := len(r.Samples); n > 0 {
		r.Reason += ": " + r.Samples[n-1].Summary()
	}
	if !r.asked {
		r.Outcome = Inconclusive
	}
}

// Report is what became of a gate.
type Report struct {
	Targets []TargetReport `json:"targets"`
	Timeout time.Duration  `json:"timeout_ns"`
	Took    time.Duration  `json:"took_ns"`
}

// Passed tells whether every target did.
func (r *Report) Passed() bool {
	for _, t := range r.Targets {
		if t.Outcome != Passed {
			return false
		}
	}
	return true
}

// Err is nil where the gate passed; else it names each target that did not,
// with its last answers as detail.
func (r *Report) Err() error {
	var failed, detail []string
	for _, t := range r.Targets {
		if t.Outcome == Passed {
			continue
		}
		failed = append(failed, fmt.Sprintf("%s %s: %s", t.Name, t.Outcome, t.Reason))
		detail = append(detail, fmt.Sprintf("%s: %s after %d attempts", t.Name, t.Outcome, t.Attempts))
		for _, s := range t.Samples {
			for _, line := range s.Lines() {
				detail = append(detail, "  "+line)
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fault.New(fault.Provider, "%d of %d targets did not pass; %s", len(failed), len(r.Targets), strings.Join(failed, "; ")).
		WithHint("look at the service's log: wfctl logs NAME").WithDetail(detail...)
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML: what failed is a failure, what could
// not be asked an error.
func (r *Report) JUnit(w io.Writer) error {
	suite := junitSuite{Name: "wfctl verify", Tests: len(r.Targets), Time: seconds(r.Took)}
	for _, t := range r.Targets {
		c := junitCase{Name: t.Name, Class: "verify"}
		var lines []string
		var took time.Duration
		for _, s := range t.Samples {
			lines = append(lines, s.Lines()...)
			took += s.Timing.Total
		}
		c.Time = seconds(took)
		message := &junitMessage{t.Reason, strings.Join(lines, "\n")}
		switch t.Outcome {
		case Failed:
			c.Failure = message
			suite.Failures++
		case Inconclusive:
			c.Error = message
			suite.Errors++
		case Passed:
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(suite); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// Markdown writes the report as a table, for a step summary of GitHub.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| target | outcome | attempts | last answer |\n| --- | --- | --- | --- |\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;", ">", "&gt;")
	for _, t := range r.Targets {
		last := t.Reason
		if n := len(t.Samples); t.Outcome == Passed && n > 0 {
			last = t.Samples[n-1].Summary()
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s |\n", cell.Replace(t.Name), t.Outcome, t.Attempts, cell.Replace(last))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
