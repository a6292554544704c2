package fakedo_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"github.com/gocodealone/wfctl/plugins/digitalocean/fakedo"
)

// ask sends a request by hand, as a client that is wrong would.
func ask(t *testing.T, s *fakedo.Server, method, path, body string, header map[string]string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body == "" {
		r.Body = http.NoBody
	}
	r.Header.Set("Authorization", "Bearer "+fakedo.Token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	for k, v := range header {
		r.Header.Set(k, v)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestWhatTheDescriptionRefuses(t *testing.T) {
	s := fakedo.Start(t, fakedo.Options{})
	const vpc = `{"name":"net","region":"fra1"`
	for name, c := range map[string]struct {
		method, path, body string
		header             map[string]string
		status             int
		says               string
	}{
		"a field that is not listed":  {"POST", "/v2/vpcs", vpc + `,"colour":"red"}`, nil, 422, "body.colour"},
		"such a field far down":       {"POST", "/v2/apps", `{"spec":{"name":"app","services":[{"name":"web","envs":[{"key":"A","valeu":"b"}]}]}}`, nil, 422, "body.spec.services[0].envs[0].valeu"},
		"a field that is missing":     {"POST", "/v2/vpcs", `{"name":"net"}`, nil, 422, "region"},
		"a value of the wrong type":   {"POST", "/v2/vpcs", `{"name":7,"region":"fra1"}`, nil, 422, "/name"},
		"a value that is not allowed": {"POST", "/v2/databases", `{"name":"d","engine":"oracle","num_nodes":1,"size":"x","region":"fra1"}`, nil, 422, "/engine"},
		"a name that does not match":  {"POST", "/v2/vpcs", `{"name":"no spaces","region":"fra1"}`, nil, 422, "/name"},
		"a body that is no JSON":      {"POST", "/v2/vpcs", `{"name"`, nil, 422, ""},
		"a body of another type":      {"POST", "/v2/vpcs", vpc + `}`, map[string]string{"Content-Type": "text/plain"}, 422, "Content-Type"},
		"an id that is no UUID":       {"GET", "/v2/vpcs/7", "", nil, 400, "UUID"},
		"an unknown path":             {"GET", "/v2/nothing", "", nil, 404, ""},
		"an unknown method":           {"PUT", "/v2/vpcs", vpc + `}`, nil, 404, ""},
		"a filter that is not listed": {"GET", "/v2/databases?tag=web", "", nil, 422, "tag"},
		"App Platform without Accept": {"GET", "/v2/apps", "", map[string]string{"Accept": "*/*"}, 422, "Accept"},
	} {
		s.ForgetViolations()
		status, text := ask(t, s, c.method, c.path, c.body, c.header)
		if status != c.status || !strings.Contains(text, c.says) || !strings.Contains(text, "request_id") {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if len(s.Violations()) != 1 {
			t.Errorf("%s: the violations are %v", name, s.Violations())
		}
	}
	s.ForgetViolations()
	emptied(t, s)
}

func TestTokens(t *testing.T) {
	s := fakedo.Start(t, fakedo.Options{Tokens: map[string][]string{"all": nil, "reader": {"vpc:read"}}})
	for token, want := range map[string][2]int{"all": {200, 201}, "reader": {200, 403}, "nobody": {401, 401}} {
		header := map[string]string{"Authorization": "Bearer " + token}
		if status, text := ask(t, s, "GET", "/v2/vpcs", "", header); status != want[0] {
			t.Errorf("%s reads: %d %s", token, status, text)
		}
		if status, text := ask(t, s, "POST", "/v2/vpcs", `{"name":"net","region":"fra1"}`, header); status != want[1] {
			t.Errorf("%s creates: %d %s", token, status, text)
		}
	}
}

func TestPages(t *testing.T) {
	_, c, ctx := start(t, fakedo.Options{})
	for i := range 25 {
		if _, err := makeVPC(ctx, c, "net-"+strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	opts := &godo.ListOptions{PerPage: 10}
	pages := 0
	for {
		all, r, err := c.VPCs.List(ctx, opts)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, v := range all {
			seen[v.ID] = true
		}
		if r.Meta.Total != 25 {
			t.Errorf("the total is %d", r.Meta.Total)
		}
		if r.Links == nil || r.Links.IsLastPage() {
			break
		}
		at, err := r.Links.CurrentPage()
		if err != nil {
			t.Fatal(err)
		}
		opts.Page = at + 1
	}
	if pages != 3 || len(seen) != 25 {
		t.Errorf("%d pages with %d networks", pages, len(seen))
	}
}

func TestSpecIsFound(t *testing.T) {
	fakedo.SpecFor(t)
	path, err := fakedo.FindSpec()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("WFCTL_SPECS", filepath.Dir(path))
	if again, err := fakedo.FindSpec(); err != nil || again != path {
		t.Errorf("found %s, %v", again, err)
	}
	t.Setenv("WFCTL_SPECS", t.TempDir())
	if _, err := fakedo.FindSpec(); err == nil {
		t.Error("found one in an empty folder")
	}
	if _, err := fakedo.LoadSpec(os.DevNull); err == nil {
		t.Error("read one out of nothing")
	}
}

// watch is a test that must not end with it.
type watch struct {
	*testing.T
	ends   []func()
	errors int
}

func (w *watch) Cleanup(f func())      { w.ends = append(w.ends, f) }
func (w *watch) Errorf(string, ...any) { w.errors++ }

func TestStartFailsTheTestForAViolation(t *testing.T) {
	w := &watch{T: t}
	s := fakedo.Start(w, fakedo.Options{})
	ask(t, s, "POST", "/v2/vpcs", `{"name":"net","region":"fra1","colour":"red"}`, nil)
	for _, end := range w.ends {
		end()
	}
	if w.errors != 1 {
		t.Errorf("%d errors", w.errors)
	}
}

func TestClocks(t *testing.T) {
	c := fakedo.NewScaledClock(1e6)
	begin := c.Now()
	c.Advance(time.Hour)
	if passed := c.Now().Sub(begin); passed < time.Hour {
		t.Errorf("%s passed", passed)
	}
}
