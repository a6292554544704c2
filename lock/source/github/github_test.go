package github_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"

	"github.com/gocodealone/wfctl/lock/locktest"
	"github.com/gocodealone/wfctl/lock/source"
	"github.com/gocodealone/wfctl/lock/source/github"
)

func open(t *testing.T, address string, token string) *github.Source {
	t.Helper()
	c := source.NewClient()
	t.Cleanup(c.CloseIdleConnections)
	s, err := github.New(address, source.Config{Client: c, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"github.com/acme/x":                        "https://github.com/acme/x/releases/download/v1/a.tar.gz",
		"https://github.com/acme/x.git":            "https://github.com/acme/x/releases/download/v1/a.tar.gz",
		"github+https://ghe.acme.com/acme/x":       "https://ghe.acme.com/acme/x/releases/download/v1/a.tar.gz",
		"github+http://localhost:1/acme/x/":        "http://localhost:1/acme/x/releases/download/v1/a.tar.gz",
		"github.com/acme":                          "",
		"github.com/acme/x/y":                      "",
		"github+http://ghe.acme.com/acme/x":        "",
		"github+https://user:pw@ghe.acme.com/a/x":  "",
		"github+https://ghe.acme.com/acme/x?ref=1": "",
		"github+ssh://git@github.com/acme/x":       "",
		"github.com//x":                            "",
		"github+https://ghe.acme.com/%zz/x":        "",
	} {
		s, err := github.New(address, source.Config{})
		if got := ""; err == nil {
			if got = s.URL("v1", "a.tar.gz"); got != want {
				t.Errorf("%s: %s", address, got)
			}
		} else if want != "" {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// More releases than one page holds.
func TestPages(t *testing.T) {
	g := locktest.NewGitHub(t)
	for i := range 230 {
		g.Publish(&locktest.Release{Plugin: "hello", Version: fmt.Sprintf("v0.0.%d", i)})
	}
	versions, err := open(t, g.Source(), "").Versions(t.Context())
	if err != nil || len(versions) != 230 || !slices.Contains(versions, "v0.0.0") {
		t.Errorf("%d versions, %v", len(versions), err)
	}
}

// An asset whose address is of another host gets no token.
func TestAssetElsewhere(t *testing.T) {
	evil := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked with %q", r.Header.Get("Authorization")) }))
	t.Cleanup(evil.Close)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"tag_name": "v1", "assets": [{"name": "a", "url": %q}]}`, evil.URL)
	}))
	t.Cleanup(api.Close)
	_, err := open(t, "github+"+api.URL+"/acme/hello", "secret").Open(t.Context(), "v1", "a", "")
	if err == nil || !strings.Contains(err.Error(), "is not of") {
		t.Errorf("got %v", err)
	}
}

// A bundle that the API only points to.
func TestStoredAttestation(t *testing.T) {
	for name, body := range map[string][]byte{"plain": []byte(`{"x":1}`), "snappy": snappy.Encode(nil, []byte(`{"x":1}`)), "rubbish": []byte("\xff\xff\xff\xff\xff")} {
		t.Run(name, func(t *testing.T) {
			storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" {
					t.Error("the storage got the token")
				}
				_, _ = w.Write(body)
			}))
			t.Cleanup(storage.Close)
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, `{"attestations": [{"bundle": null, "bundle_url": %q}]}`, storage.URL)
			}))
			t.Cleanup(api.Close)
			got, err := open(t, "github+"+api.URL+"/acme/hello", "secret").Attestations(t.Context(), strings.Repeat("0", 64))
			if name == "rubbish" {
				if err == nil {
					t.Error("rubbish was accepted")
				}
				return
			}
			if err != nil || len(got) != 1 || string(got[0]) != `{"x":1}` {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}
