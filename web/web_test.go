package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/event/memory"
	"github.com/gocodealone/wfctl/web"
)

// source is a project of three resources.
type source struct{ store *event.Store }

func (source) Settle(r event.Run) event.Run { return r }

func (s source) Approve(ctx context.Context, run string, given event.ApprovalGiven) error {
	given.By = "ann"
	_, err := s.store.Append(ctx, run, given)
	return err
}

func (source) Resources(context.Context) (web.Graph, error) {
	return web.Graph{Project: "guestbook", Environment: "local", Nodes: []web.Node{
		{Address: "db", Type: "infra.database", Name: "guestbook-db", ID: "db-1", Status: "ready",
			Outputs: []web.Output{{Name: "host", Value: "127.0.0.1"}, {Name: "connection_url", Sensitive: true}}},
		{Address: "images.guestbook", Type: "image", Status: "absent", Action: "create", Reason: "new"},
		{Address: "web", Type: "infra.container_service", Status: "ready", Action: "update", Fields: []string{"image"}, DependsOn: []string{"db", "images.guestbook"}},
	}}, nil
}

func (source) History(context.Context, string) ([]web.Entry, error) {
	return []web.Entry{{Time: time.Unix(1, 0), Who: "ann", Run: "r1", What: "result", Detail: "create"}}, nil
}

var at = time.Date(2026, 4, 24, 10, 0, 0, 0, time.UTC)

type site struct {
	*httptest.Server
	store  *event.Store
	server *web.Server
	client *http.Client
}

func serve(tb testing.TB) *site {
	tb.Helper()
	s := &site{store: event.Open(memory.New(), event.StoreOptions{Poll: 10 * time.Millisecond})}
	var handler http.Handler
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	tb.Cleanup(s.Close)
	server, err := web.New(s.store, source{s.store}, s.Listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	handler, s.server = server, server
	jar, _ := cookiejar.New(nil)
	s.client = &http.Client{Jar: jar}
	return s
}

func (s *site) get(tb testing.TB, path string) (int, string) {
	tb.Helper()
	res, err := s.client.Get(s.URL + path)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // a test
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// login shows the token once; the cookie stays.
func (s *site) login(tb testing.TB) {
	tb.Helper()
	u, _ := url.Parse(s.server.URL())
	if status, _ := s.get(tb, "/?"+u.RawQuery); status != http.StatusOK {
		tb.Fatalf("the token gives %d", status)
	}
}

func (s *site) add(tb testing.TB, events ...event.Event) {
	tb.Helper()
	if _, err := s.store.Append(tb.Context(), "r1", events...); err != nil {
		tb.Fatal(err)
	}
}

func (s *site) begin(tb testing.TB) {
	s.add(tb, event.RunStarted{Run: "r1", Command: "pipeline run release", Project: "p", Environment: "local", At: at},
		event.StepsPlanned{Pipeline: "release", Steps: []event.PlannedStep{{Name: "build", Type: "container_build"}, {Name: "gate", Type: "approval", Needs: []string{"build"}}}},
		event.NodeStarted{Address: "build", Action: "run", Type: "container_build", At: at},
		event.NodeLog{Address: "build", Line: "compiling <b>&"})
}

// beginOf has a run of another project begin after all there are.
func (s *site) beginOf(tb testing.TB, run, project string) {
	tb.Helper()
	e := event.RunStarted{Run: run, Command: "up", Project: project, Environment: "local", At: at.Add(time.Hour)}
	if _, err := s.store.Append(tb.Context(), run, e); err != nil {
		tb.Fatal(err)
	}
}

func TestNothingWithoutTheToken(t *testing.T) {
	s := serve(t)
	for _, path := range []string{"/", "/runs/r1", "/runs/r1/events", "/resources", "/static/page.js", "/?token=wrong"} {
		if status, _ := s.get(t, path); status != http.StatusUnauthorized {
			t.Errorf("%s answers %d without the token", path, status)
		}
	}
	s.login(t)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/", nil)
	req.Host = "evil.example:80"
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host is answered with %d", res.StatusCode)
	}
	res, err = s.client.PostForm(s.URL+"/runs/r1/approve", url.Values{"step": {"gate"}, "answer": {"approve"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a form without the token is answered with %d", res.StatusCode)
	}
}

func TestPagesReadWithoutScript(t *testing.T) {
	s := serve(t)
	s.login(t)
	if _, body := s.get(t, "/"); !strings.Contains(body, "Nothing has been run yet") {
		t.Error(body)
	}
	s.begin(t)
	s.add(t, event.NodeFinished{Address: "build", Outcome: event.Done, At: at.Add(time.Second)}, event.ApprovalRequested{Address: "gate", Message: "Release 2?", At: at})
	for path, wants := range map[string][]string{
		"/":             {"pipeline run release", "running"},
		"/runs/r1":      {"compiling &lt;b&gt;&amp;", `class="done"`, "Release 2?", "Approve", `data-seq="6"`},
		"/resources":    {"web", "plan: update", "images.guestbook"},
		"/resources/db": {"***MASKED***", "127.0.0.1", "ann"},
	} {
		status, body := s.get(t, path)
		for _, want := range wants {
			if status != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("%s (%d) lacks %q", path, status, want)
			}
		}
	}
	for _, path := range []string{"/runs/none", "/resources/none"} {
		if status, _ := s.get(t, path); status != http.StatusNotFound {
			t.Errorf("%s answers %d", path, status)
		}
	}
	if _, body := s.get(t, "/runs/r1/log?step=build"); body != "compiling <b>&\n" {
		t.Errorf("the log: %q", body)
	}
}

// A database that several projects share: whose run it is stands there, and
// one project's can be chosen. Who has one project sees no difference.
func TestRunsOfSeveralProjects(t *testing.T) {
	s := serve(t)
	s.login(t)
	s.begin(t)
	const choice = `<select id="project" name="project">`
	if _, body := s.get(t, "/"); strings.Contains(body, choice) || strings.Contains(body, ">Project</th>") {
		t.Errorf("one project has a choice: %s", body)
	}
	for i := range 100 { // as many as the page shows at most, all newer
		s.beginOf(t, fmt.Sprintf("shop-%d", i), "<shop>")
	}
	for path, c := range map[string]struct{ has, lacks []string }{
		"/":                  {[]string{choice, ">Project</th>", "<td>&lt;shop&gt;</td>", "<option>p</option>", "shop-99"}, []string{"<td>p</td>", "selected"}},
		"/?project=p":        {[]string{choice, "<td>p</td>", "<option selected>p</option>", "/runs/r1"}, []string{"shop-9"}},
		"/?project=%3Cshop>": {[]string{"<option selected>&lt;shop&gt;</option>", "shop-99"}, []string{"<td>p</td>"}},
		"/?project=gone":     {[]string{"There is no run of gone", "<option selected>gone</option>", "<option>p</option>"}, []string{"<table>"}},
		"/runs/r1":           {[]string{"<dt>Project</dt><dd>p</dd>"}, nil},
	} {
		_, body := s.get(t, path)
		for _, want := range c.has {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		for _, other := range c.lacks {
			if strings.Contains(body, other) {
				t.Errorf("%s has %q", path, other)
			}
		}
	}
}

// reader reads a stream of events.
type reader struct {
	*bufio.Reader
	close func()
}

func (s *site) stream(tb testing.TB, lastID string) *reader {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/runs/r1/events", nil)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := s.client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	return &reader{bufio.NewReader(res.Body), func() { cancel(); _ = res.Body.Close() }}
}

// next reads up to the next identifier; "" at the end.
func (r *reader) next() string {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return ""
		}
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			return strings.TrimSpace(id)
		}
	}
}

func TestStreamResumes(t *testing.T) {
	s := serve(t)
	s.login(t)
	s.begin(t)
	r := s.stream(t, "")
	for want := 1; want <= 3; want++ {
		if id := r.next(); id != fmt.Sprint(want) {
			t.Fatalf("%q, want %d", id, want)
		}
	}
	r.close()
	r = s.stream(t, "3")
	defer r.close()
	go func() {
		if _, err := s.store.Append(context.Background(), "r1", event.NodeFinished{Address: "build", Outcome: event.Done, At: at}, event.RunFinished{Run: "r1", Done: 1, At: at}); err != nil {
			t.Error(err)
		}
	}()
	var got []string
	for id := r.next(); id != ""; id = r.next() {
		got = append(got, id)
	}
	if strings.Join(got, " ") != "4 5 6" {
		t.Errorf("after 3 came %v", got)
	}
}

func TestApproval(t *testing.T) {
	s := serve(t)
	s.login(t)
	s.begin(t)
	s.add(t, event.ApprovalRequested{Address: "gate", Message: "Release?", At: at})
	u, _ := url.Parse(s.server.URL())
	res, err := s.client.PostForm(s.URL+"/runs/r1/approve", url.Values{"token": {u.Query().Get("token")}, "step": {"gate"}, "answer": {"approve"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	tl, err := s.store.Timeline(t.Context(), "r1")
	if err != nil || tl.Step("", "gate").Message != "approved by ann" {
		t.Errorf("%+v, %v", tl.Step("", "gate"), err)
	}
}

// A run of 10,000 events opens in a second.
func TestLargeRunOpensFast(t *testing.T) {
	s := serve(t)
	s.login(t)
	s.begin(t)
	var events []event.Event
	for i := range 10000 {
		events = append(events, event.NodeLog{Address: fmt.Sprint("step-", i%100), Line: "a line of output that is about as long as such lines are"})
	}
	s.add(t, events...)
	began := time.Now()
	_, body := s.get(t, "/runs/r1")
	if took := time.Since(began); took > time.Second || len(body) > 2<<20 {
		t.Errorf("it took %s and has %d bytes", took, len(body))
	}
}

// BenchmarkSSEPublishDelivery_HTTP appends an event to a store in memory and
// reads it from a connection.
func BenchmarkSSEPublishDelivery_HTTP(b *testing.B) {
	s := serve(b)
	s.login(b)
	s.begin(b)
	r := s.stream(b, "4")
	defer r.close()
	e := event.NodeFinished{Address: "transform", Outcome: "ok"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.store.Append(b.Context(), "r1", e); err != nil {
			b.Fatal(err)
		}
		if r.next() == "" {
			b.Fatal("the stream ended")
		}
	}
}
