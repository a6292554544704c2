package https_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gocodealone/wfctl/lock/source"
	"github.com/gocodealone/wfctl/lock/source/https"
)

func TestVersions(t *testing.T) {
	pages := map[string]string{
		"Go":       "<pre>\n<a href=\"v1.0.0/\">v1.0.0/</a>\n<a href=\"v1.1.0-rc.1/\">v1.1.0-rc.1/</a>\n<a href=\"other/\">other/</a>",
		"nginx":    `<a href="../">../</a> <a href="v1.0.0/">v1.0.0/</a> 01-Jan <A HREF='./v1.1.0-rc.1/'>x</A>`,
		"twice":    `<a href=v1.0.0/><a href="v1.0.0/"><a href="v1.1.0-rc.1">`,
		"escaped":  `<a href="v1.0.0/"><a href="v1.1.0%2Drc.1/">`,
		"no index": "<h1>Welcome</h1>",
	}
	for name, page := range pages {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page)) }))
		s, err := https.New(server.URL+"/plugins/", source.Config{Client: server.Client()})
		if err != nil {
			t.Fatal(err)
		}
		versions, err := s.Versions(t.Context())
		if name == "no index" {
			if err == nil || !strings.Contains(err.Error(), "does not list") {
				t.Errorf("%s: %v, %v", name, versions, err)
			}
		} else if err != nil || !slices.Equal(versions, []string{"v1.0.0", "v1.1.0-rc.1"}) {
			t.Errorf("%s: %v, %v", name, versions, err)
		}
		server.Close()
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"http://example.com/x", "https://", "https://u:p@example.com/x", "https://example.com/x?y", "ftp://example.com", "https://%zz"} {
		if _, err := https.New(bad, source.Config{}); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
