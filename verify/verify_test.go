package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that passes only when somebody sleeps.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// server answers with a handler; its complaints about broken connections are
// wanted, and not shown.
func server(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func gateOf(t *testing.T, text string) Config {
	t.Helper()
	var c Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func run(t *testing.T, text string, change ...func(*Options)) *Report {
	t.Helper()
	c := newClock()
	o := Options{Now: c.Now, Sleep: c.Sleep}
	for _, f := range change {
		f(&o)
	}
	r, err := Run(t.Context(), gateOf(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// answers gives each reply in turn, the last one for ever.
func answers(replies ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		i := min(int(n.Add(1)), len(replies)) - 1
		replies[i](w, r)
	}
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Digest", "sha256:abc")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// What a server can do, and what a gate makes of it.
func TestHTTP(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	cases := []struct {
		name    string
		handler http.HandlerFunc
		target  string // further keys
		outcome Outcome
		reason  string
	}{
		{"well", status(200, "ok"), ``, Passed, ""},
		{"any 2xx", status(204, ""), ``, Passed, ""},
		{"wrong status", status(503, "starting"), ``, Failed, "status 503, want 2xx"},
		{"one of a list", status(404, ""), `, "expect_status": [200, 404]`, Passed, ""},
		{"one status", status(201, ""), `, "expect_status": 200`, Failed, "status 201, want 200"},
		{"body", status(200, "all is ok here"), `, "expect_body_contains": "is ok"`, Passed, ""},
		{"other body", status(200, "no"), `, "expect_body_contains": "ok"`, Failed, `does not contain "ok"`},
		{"header", status(200, ""), `, "expect_header": {"x-digest": "sha256:abc"}`, Passed, ""},
		{"old version", status(200, ""), `, "expect_header": {"X-Digest": "sha256:def"}`, Failed, `header X-Digest is "sha256:abc", want "sha256:def"`},
		{"jq", status(200, `{"status":"ok","commit":"abc"}`), `, "expect_jq": ".status == \"ok\" and .commit == \"abc\""`, Passed, ""},
		{"jq false", status(200, `{"status":"bad"}`), `, "expect_jq": ".status == \"ok\""`, Failed, `is false`},
		{"jq error", status(200, `[1]`), `, "expect_jq": ".status == \"ok\""`, Failed, `expected an object`},
		{"jq nothing", status(200, `[]`), `, "expect_jq": ".[]"`, Failed, `gives nothing`},
		{"jq for ever", status(200, `1`), `, "expect_jq": "[repeat(.)]", "attempt_timeout": "50ms"`, Failed, `50ms`},
		{"not JSON", status(200, `<html>`), `, "expect_jq": ".status"`, Failed, `not JSON`},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, ``, Failed, "status 302, want 2xx; it redirects to /login"},
		{"redirect loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, `, "follow_redirects": 3`, Failed, "it redirects more than 3 times"},
		{"redirect followed", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/in" {
				http.Redirect(w, r, "/in", http.StatusFound)
			}
		}, `, "follow_redirects": 1`, Passed, ""},
		{"reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ``, Failed, "closed without an answer"},
		{"broken off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "abc")
		}, ``, Failed, "the body broke off"},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, `, "attempt_timeout": "50ms"`, Failed, "no whole answer within 50ms (connected, and no answer)"},
		{"trickles", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, `, "attempt_timeout": "50ms"`, Failed, "the answer began and did not end"},
		{"100 MB", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := io.WriteString(w, big); err != nil {
					return
				}
			}
		}, ``, Passed, ""},
		{"100 MB, looked through", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				if _, err := io.WriteString(w, big); err != nil {
					return
				}
			}
		}, `, "expect_body_contains": "y"`, Failed, `does not contain "y" in its first 64 KiB`},
		{"method, headers, body", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Method != http.MethodPost || r.Header.Get("X-A") != "b" || r.Host != "other.example" || string(body) != "{}" {
				w.WriteHeader(400)
			}
		}, `, "method": "POST", "headers": {"X-A": "b", "Host": "other.example"}, "body": "{}"`, Passed, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, fmt.Sprintf(`{"timeout": "1m", "max_retries": 1, "targets": [{"url": %q%s}]}`, server(t, c.handler), c.target))
			got := r.Targets[0]
			if got.Outcome != c.outcome || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("%s: %s", got.Outcome, got.Reason)
			}
			if len(got.Samples) == 0 || got.Samples[0].Timing.Total <= 0 {
				t.Error("no times")
			}
		})
	}
}

func TestSlowIsNotWell(t *testing.T) {
	slow := func(http.ResponseWriter, *http.Request) { <-time.After(30 * time.Millisecond) }
	r := run(t, fmt.Sprintf(`{"max_retries": 1, "targets": [{"url": %q, "max_latency": "10ms"}]}`, server(t, slow)))
	if got := r.Targets[0]; got.Outcome != Failed || !strings.Contains(got.Reason, "more than 10ms") {
		t.Errorf("%+v", got)
	}
}

func TestConsecutive(t *testing.T) {
	up, down := status(200, ""), status(500, "")
	flapping := server(t, answers(down, up, up, down, up, up, up, down))
	var seen []string
	r := run(t, fmt.Sprintf(`{"consecutive": 3, "timeout": "1h", "targets": [{"url": %q}]}`, flapping), func(o *Options) {
		o.Progress = func(a Attempt) { seen = append(seen, fmt.Sprint(a.Successes)) }
	})
	if got := strings.Join(seen, ""); r.Targets[0].Outcome != Passed || got != "0120123" {
		t.Errorf("%s after %s", r.Targets[0].Outcome, got)
	}
}

func TestTimeIsUp(t *testing.T) {
	c := newClock()
	r, err := Run(t.Context(), gateOf(t, fmt.Sprintf(`{"timeout": "25s", "interval": "10s", "targets": [{"url": %q}]}`, server(t, status(500, "")))),
		Options{Now: c.Now, Sleep: c.Sleep})
	if err != nil {
		t.Fatal(err)
	}
	got := r.Targets[0]
	if got.Outcome != Failed || !strings.HasPrefix(got.Reason, "it did not pass within 25s: status 500") || got.Attempts < 4 {
		t.Errorf("%+v", got)
	}
	if r.Took > 25*time.Second {
		t.Errorf("it took %s", r.Took)
	}
	if c.slept[0] != 10*time.Second {
		t.Errorf("paused %v", c.slept)
	}
}

// A gate without an interval asks often at first, then seldom.
func TestPauses(t *testing.T) {
	var p pacer
	before := time.Duration(0)
	for range 5 {
		d := p.next()
		if d < before {
			t.Errorf("%s after %s", d, before)
		}
		before = d
	}
	for range 20 {
		before = p.next()
	}
	if before > longestPause*11/10 {
		t.Errorf("%s", before)
	}
}

func TestNothingListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	r := run(t, fmt.Sprintf(`{"max_retries": 1, "targets": [{"url": "http://%s"}, {"tcp": %q}, {"grpc": %q}]}`, address, address, address))
	for _, got := range r.Targets {
		if got.Outcome != Failed || !strings.Contains(got.Reason, "refused") {
			t.Errorf("%+v", got)
		}
	}
}

// What could not be asked is not a failure of the service.
func TestInconclusive(t *testing.T) {
	r := run(t, `{"max_retries": 1, "targets": [{"url": "http://name.invalid/"}, {"url": "https://127.0.0.1:1", "tls": {"ca_file": "absent.pem"}}]}`)
	for _, got := range r.Targets {
		if got.Outcome != Inconclusive {
			t.Errorf("%+v", got)
		}
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(status(200, "ok"))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		tls     string
		outcome Outcome
		reason  string
	}{
		{`{}`, Failed, "an authority that is not known here"},
		{`{"verify": false}`, Passed, ""},
		{`{"ca_file": "ca.pem"}`, Passed, ""},
		{`{"ca_file": "ca.pem", "server_name": "other.test"}`, Failed, "for another name"},
		{`{"ca_file": "ca.pem", "min_days": 1000000}`, Failed, "the certificate ends on"},
	}
	address := strings.TrimPrefix(s.URL, "https://")
	for _, c := range cases {
		for _, target := range []string{`"url": "` + s.URL + `"`, `"tcp": "` + address + `"`} {
			r := run(t, fmt.Sprintf(`{"max_retries": 1, "targets": [{%s, "tls": %s}]}`, target, c.tls), func(o *Options) { o.Dir = dir })
			got := r.Targets[0]
			if got.Outcome != c.outcome || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("%s %s: %s: %s", target, c.tls, got.Outcome, got.Reason)
			}
			if c.outcome == Passed && (got.Samples[0].Timing.TLS <= 0 || got.Samples[0].CertificateEnds.IsZero()) {
				t.Errorf("%+v", got.Samples[0])
			}
		}
	}
	if r := run(t, `{"targets": [{"url": "`+s.URL+`", "tls": {"verify": false}}]}`); r.Targets[0].Samples[0].Protocol != "HTTP/2.0" {
		t.Errorf("spoke %s", r.Targets[0].Samples[0].Protocol)
	}
}

func TestGRPC(t *testing.T) {
	reply := func(message []byte, trailer string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.URL.Path != healthMethod || !bytes.HasSuffix(body, []byte("\x0a\x03web")) {
				trailer = "3"
			}
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write(append([]byte{0, 0, 0, 0, byte(len(message))}, message...))
			w.Header().Set("Grpc-Status", trailer)
		}
	}
	cases := []struct {
		handler http.HandlerFunc
		outcome Outcome
		reason  string
	}{
		{reply([]byte{8, 1}, "0"), Passed, ""},
		{reply([]byte{8, 2}, "0"), Failed, "it says NOT_SERVING"},
		{reply(nil, "0"), Failed, "it says UNKNOWN"},
		{reply(nil, "12"), Failed, "does not serve"},
		{reply([]byte{9}, "0"), Failed, "nothing that can be read"},
		{status(404, ""), Failed, "no gRPC server"},
	}
	for _, c := range cases {
		s := httptest.NewUnstartedServer(c.handler)
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
		r := run(t, fmt.Sprintf(`{"max_retries": 1, "targets": [{"grpc": %q, "grpc_service": "web"}]}`, strings.TrimPrefix(s.URL, "http://")))
		if got := r.Targets[0]; got.Outcome != c.outcome || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s: %s, want %s", got.Outcome, got.Reason, c.reason)
		}
		s.Close()
	}
}

func TestDNS(t *testing.T) {
	r := run(t, `{"max_retries": 1, "targets": [{"dns": "localhost"}, {"dns": "name.invalid"}]}`)
	if r.Targets[0].Outcome != Passed || r.Targets[1].Outcome != Failed {
		t.Errorf("%+v", r.Targets)
	}
}

// No secret is shown, wherever it comes back.
func TestMasked(t *testing.T) {
	const secret = "sesame-opens"
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/?key="+r.URL.Query().Get("key"))
		w.WriteHeader(500)
		_, _ = io.WriteString(w, `{"echo": "`+r.Header.Get("X-Key")+`", "access_token": "abcdefg", "n": 1} Authorization: Bearer abcdefghijklmn postgres://u:hunter2@h/d`)
	}
	r := run(t, fmt.Sprintf(`{"max_retries": 1, "targets": [{"url": "%s/?key=%s", "headers": {"X-Key": %q}, "expect_header": {"Location": %q}, "expect_status": 500}]}`,
		server(t, h), secret, secret, secret), func(o *Options) { o.Secrets = []string{secret} })
	var all bytes.Buffer
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	all.Write(raw)
	if err := r.JUnit(&all); err != nil {
		t.Fatal(err)
	}
	if err := r.Markdown(&all); err != nil {
		t.Fatal(err)
	}
	var f *fault.Error
	f, _ = r.Err().(*fault.Error) //nolint:errorlint // it is made there
	all.WriteString(f.Error() + strings.Join(f.Detail, "\n"))
	for _, s := range []string{secret, "abcdefg", "hunter2"} {
		if strings.Contains(all.String(), s) {
			t.Errorf("%s is shown in %s", s, all.String())
		}
	}
	if !strings.Contains(all.String(), `\"n\": 1`) {
		t.Errorf("the rest of the body is gone: %s", all.String())
	}
}

func TestReport(t *testing.T) {
	r := run(t, fmt.Sprintf(`{"max_retries": 3, "targets": [{"name": "a|b", "url": %q}, {"url": %q}, {"url": "http://name.invalid"}]}`, server(t, status(200, "")), server(t, status(500, "<oops>"))))
	if r.Passed() {
		t.Error("passed")
	}
	err := r.Err()
	if !strings.Contains(err.Error(), "2 of 3 targets did not pass; ") || !strings.Contains(err.Error(), "inconclusive") {
		t.Errorf("%v", err)
	}
	var junit, table bytes.Buffer
	if err := r.JUnit(&junit); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`tests="3" failures="1" errors="1"`, `<testcase name="a|b"`, "body: &lt;oops&gt;"} {
		if !strings.Contains(junit.String(), want) {
			t.Errorf("no %s in %s", want, junit.String())
		}
	}
	if err := r.Markdown(&table); err != nil || !strings.Contains(table.String(), `| a\|b | passed | 1 |`) {
		t.Errorf("%s, %v", table.String(), err)
	}
	if len(r.Targets[1].Samples) != lastSamples || r.Targets[1].Attempts != 4 {
		t.Errorf("%d samples of %d", len(r.Targets[1].Samples), r.Targets[1].Attempts)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := server(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	_, err := Run(ctx, gateOf(t, fmt.Sprintf(`{"targets": [{"url": %q}]}`, address)), Options{})
	if fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
}

func TestConfigMistakes(t *testing.T) {
	err := gateOf(t, `{"targets": [{}, {"url": "ftp://x"}, {"url": "http://x", "tcp": "y:1"}, {"url": "http://x", "expect_jq": ".["}]}`).Check()
	for _, want := range []string{"target 1: it needs exactly one", "target 2: its url", "target 3: it needs", "target 4: its expect_jq"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err := (Config{}).Check(); err == nil {
		t.Error("an empty gate is taken")
	}
	for _, bad := range []string{`{"timeout": 5}`, `{"timeout": "soon"}`, `{"targets": [{"expect_status": "ok"}]}`, `{"targets": [{"expect_status": 99}]}`} {
		var c Config
		if json.Unmarshal([]byte(bad), &c) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func FuzzHealthStatus(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 8, 1})
	f.Fuzz(func(_ *testing.T, frame []byte) { _ = healthStatus(frame) })
}
