package registry

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gocodealone/wfctl/fault"
)

// EndpointsVariable is the variable that says where registries are reached
// that are elsewhere than their name says: behind a tunnel, or in a test.
const EndpointsVariable = "WFCTL_REGISTRY_ENDPOINTS"

// Endpoints makes a transport that reaches registries where a list says:
// HOST=URL, with commas between. The names of images stay as they are. It is
// base where the list is empty.
func Endpoints(base http.RoundTripper, list string) (http.RoundTripper, error) {
	to := map[string]*url.URL{}
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		host, address, _ := strings.Cut(entry, "=")
		u, err := url.Parse(address)
		if err != nil || host == "" || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
			return nil, fault.New(fault.Environment, "%s: %q is not HOST=URL", EndpointsVariable, entry).WithHint("write it as registry.example.com=http://127.0.0.1:5000")
		}
		to[host] = u
	}
	if len(to) == 0 {
		return base, nil
	}
	return &endpoints{base, to}, nil
}

type endpoints struct {
	base http.RoundTripper
	to   map[string]*url.URL
}

// RoundTrip implements http.RoundTripper. The registry is told its own name.
func (e *endpoints) RoundTrip(r *http.Request) (*http.Response, error) {
	u, ok := e.to[r.URL.Host]
	if !ok {
		return e.base.RoundTrip(r)
	}
	sent := r.Clone(r.Context())
	sent.URL.Scheme, sent.URL.Host, sent.Host = u.Scheme, u.Host, r.URL.Host
	res, err := e.base.RoundTrip(sent)
	if res != nil {
		res.Request = r // a relative Location is relative to what was asked for
	}
	return res, err
}
