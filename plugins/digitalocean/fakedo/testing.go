package fakedo

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"strings"
)

// TB is what Start needs of a *testing.T.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// SpecFor is the API description for a test. Without it the test is skipped,
// except under CI=true, where it fails.
func SpecFor(t TB) *Spec {
	t.Helper()
	spec, err := DefaultSpec()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("%v", err)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	return spec
}

// Start serves a fake for a test, on a port of its own, and fails the test
// at its end for whatever broke the API description.
func Start(t TB, o Options) *Server {
	t.Helper()
	if o.Spec == nil {
		o.Spec = SpecFor(t)
	}
	s := New(o)
	ts := httptest.NewServer(s)
	s.URL = ts.URL
	t.Cleanup(func() {
		ts.Close()
		for _, v := range s.Violations() {
			t.Errorf("fakedo: %s", v)
		}
	})
	return s
}

// DockerLogin reads the user and the password for a host out of a docker
// configuration.
func DockerLogin(t TB, config []byte, host string) (user, password string) {
	t.Helper()
	var c struct {
		Auths map[string]struct{ Auth []byte }
	}
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatalf("docker configuration: %v", err)
	}
	user, password, ok := strings.Cut(string(c.Auths[host].Auth), ":")
	if !ok {
		t.Fatalf("the docker configuration has nothing for %s", host)
	}
	return user, password
}
